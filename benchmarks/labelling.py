"""People answer while the label server is killed: is every acknowledged answer there exactly once?

    python benchmarks/labelling.py --annotators 50 --answers 5000 --kills 3
    python benchmarks/labelling.py --url postgresql+psycopg://USER@HOST/NAME

Scripted annotators answer comparisons over HTTP, as fast as they can. One answer in five is sent
twice at once, one in five is revised, the revision first; one in twenty is sent again at the very
end. The server is killed with SIGKILL at equal parts of the way and started again; whoever gets no
acknowledgement sends the same answer again. Clips are blank, so that the time is the store's and
the server's. With `--json` the figures are printed as JSON alone.
"""

import argparse
import asyncio
import itertools
import json
import os
import random
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from sqlalchemy import select

from rlhf_core.configuration import from_mapping, to_yaml
from rlhf_core.feedback_forms import form_of
from rlhf_core.labelling.clips import ClipView, Media
from rlhf_core.labelling.server import Limits, Rate, ServerSettings, serve
from rlhf_core.labelling.store import Batch, CampaignSettings, LabelStore, open_store
from rlhf_core.labelling.store.tables import annotators, answers, assignments
from rlhf_core.questions import Queries, Request
from rlhf_core.recording import Recorder
from rlhf_core.reservoir import trajectories
from rlhf_core.segments import sample_segments
from rlhf_core.store import Store

CLIPS, STEPS = 200, 10
DUPLICATED, REVISED, SENT_AT_THE_END = 0.2, 0.2, 0.05
"""Shares of the answers."""


class BlankClips:
    """Clips without a picture."""

    def describe(self, experiment: str, request: Request, index: int) -> ClipView:
        """One moment of nothing."""
        return ClipView("text", 1, 0.0, 0.0, "A blank clip.")

    def render(self, experiment: str, request: Request, index: int) -> Media:
        """One moment of nothing."""
        return Media("text", "application/json", b'{"text": ""}', 0.0, 1, 0.0, "A blank clip.")


@dataclass
class Book:
    """What annotators wrote down."""

    acknowledged: dict[tuple[int, str], dict[str, Any]] = field(default_factory=dict)
    """By annotator and key: what was sent and the number of its receipt."""
    times: list[float] = field(default_factory=list)
    """Seconds from sending to the acknowledgement, of each attempt that had one."""
    retries: int = 0
    repeated: int = 0
    problems: list[str] = field(default_factory=list)


class Server:
    """The label server in a process of its own."""

    def __init__(self, folder: Path, url: str) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listening:
            self.port = listening.getsockname()[1]
        self.folder, self.store_url = folder, url
        self.url = f"http://127.0.0.1:{self.port}"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it; it is up a moment later."""
        command = [sys.executable, __file__, "--serve", str(self.port), "--url", self.store_url]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "RLHF_LABEL_SECRET": "s" * 32}
        self.process = subprocess.Popen([*command, "--folder", str(self.folder)], env=environment)

    def kill(self) -> None:
        """End it as a power cut does."""
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


def main() -> None:
    """Run what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--annotators", type=int, default=50)
    parser.add_argument("--answers", type=int, default=5000)
    parser.add_argument("--kills", type=int, default=3)
    parser.add_argument("--url", help="of an empty label store; left out: SQLite")
    parser.add_argument("--pause", type=float, default=0, help="mean seconds before an answer")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--serve", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve is not None:
        run_server(given.serve, given.url, given.folder)
        return
    with tempfile.TemporaryDirectory() as folder:
        figures = measure(
            Path(folder),
            given.url,
            given.annotators,
            given.answers,
            given.kills,
            given.seed,
            given.pause,
        )
    if given.json:
        print(json.dumps(figures))
    else:
        print("\n".join([f"| {'figure':<42} | {'value':>12} |", f"|{'-' * 44}|{'-' * 13}:|"]))
        for name, value in figures.items():
            if name != "problems":
                print(f"| {name:<42} | {value:>12} |")
        print("\n".join(figures["problems"]))
    sys.exit(1 if figures["problems"] else 0)


def run_server(port: int, url: str, folder: Path) -> None:
    """Serve until killed. All annotators share an address, so that its rate is out of the way."""
    free = Rate(per_second=1e6, burst=1_000_000)
    limits = Limits(address=free, join=free)
    settings = ServerSettings(port=port, cache=folder / "clips", limits=limits)
    serve(open_store(url), BlankClips(), settings, lambda address: None)


def measure(
    folder: Path, url: str | None, people: int, wanted: int, kills: int, seed: int, pause: float
) -> dict[str, Any]:
    """Let people answer, kill the server, and compare the store with what was acknowledged.

    Args:
        folder: for everything.
        url: of an empty label store; None: SQLite in the folder.
        people: who answer at a time.
        wanted: answers in all; an even number, since each question has two.
        kills: SIGKILLs of the server.
        seed: of what is duplicated and revised.
        pause: mean seconds that each thinks before an answer.
    """
    store = open_store(url or f"sqlite:///{folder}/labels.db")
    batch, token = published(store, folder, wanted // 2, people)
    server, book = Server(folder, url or f"sqlite:///{folder}/labels.db"), Book()
    server.start()
    begun = time.monotonic()
    try:
        asyncio.run(answered(server, book, token, people, wanted, kills, seed, pause))
    finally:
        server.kill()
    seconds = time.monotonic() - begun
    compare(store, batch, book, wanted)
    milliseconds = sorted(1000 * one for one in book.times)
    name = store.database.name.partition(":")[0]
    store.close()
    return {
        "database": name.partition("+")[0],
        "annotators": people,
        "counted answers": wanted,
        "acknowledged answers with their revisions": len(book.acknowledged),
        "acknowledged again (duplicates, retries)": book.repeated,
        "attempts without an acknowledgement": book.retries,
        "SIGKILLs of the server": kills,
        "mean pause before an answer, s": pause,
        "seconds in all": round(seconds, 1),
        "answers a second": round(len(book.times) / seconds, 1),
        "median acknowledgement, ms": round(statistics.median(milliseconds), 1),
        "p99 acknowledgement, ms": round(milliseconds[int(0.99 * (len(milliseconds) - 1))], 1),
        "answers lost or counted twice": len(book.problems),
        "problems": book.problems,
    }


def published(store: LabelStore, folder: Path, questions: int, people: int) -> tuple[Batch, str]:
    """A campaign with so many comparisons, and an invite for everybody."""
    experiment = from_mapping(
        {
            "name": "labelling",
            "environment": {"id": "Pendulum-v1", "count": 2},
            "feedback": {"kind": "preference", "segment_steps": STEPS},
            "optimiser": {"kind": "ppo", "steps": 32, "batch_size": 32},
            "budget": {"env_steps": 4096, "labels": 4, "rounds": 1, "initial_steps": 256},
        }
    )
    vector = experiment.environment.make_vector(2)
    recorder = Recorder(vector)
    recorder.reset([0, 1])
    vector.action_space.seed(0)
    for _ in range(400):
        recorder.step(vector.action_space.sample())
    vector.close()
    rng = np.random.default_rng(0)
    rollouts = trajectories(recorder.take(), policy_version=0)[0]
    segments = sample_segments(rollouts, CLIPS, STEPS, rng, replayable=True)
    pairs = np.array(list(itertools.combinations(range(CLIPS), 2)))
    form = form_of("comparison", ())
    queries = Queries(
        pairs[rng.choice(len(pairs), questions, replace=False)],
        None,
        form.worth(),
        form.model_dump_json(),
    )
    request = Request(segments, segments, {"comparison": queries})
    artifacts = Store(f"{folder}/artifacts").create()
    settings = CampaignSettings(answers_per_question=min(2, people))
    campaign = store.open_campaign("benchmark", "Benchmark", settings, to_yaml(experiment))
    ref = artifacts.put(request)
    batch = store.publish(campaign, 0, 0, request, artifacts.root, ref)
    return batch, store.invite(campaign.id, "everybody", None)[1]


async def answered(
    server: Server,
    book: Book,
    token: str,
    people: int,
    wanted: int,
    kills: int,
    seed: int,
    pause: float,
) -> None:
    """All annotators answer until there is nothing to do, while the server is killed."""
    killing = asyncio.create_task(killed(server, book, wanted, kills))
    numbers = np.random.SeedSequence(seed).generate_state(people)
    await asyncio.gather(
        *(
            Annotator(server, book, int(number), pause).work(token, n)
            for n, number in enumerate(numbers)
        )
    )
    await killing


async def killed(server: Server, book: Book, wanted: int, kills: int) -> None:
    """Kill the server whenever another equal part of the answers is acknowledged."""
    for number in range(kills):
        while len(book.acknowledged) < wanted * (number + 1) / (kills + 1):
            await asyncio.sleep(0.01)
        server.kill()
        await asyncio.sleep(0.2)
        server.start()


class Annotator:
    """One who answers."""

    def __init__(self, server: Server, book: Book, seed: int, pause: float) -> None:
        self._book, self._random, self._pause = book, random.Random(seed), pause
        self._client = httpx.AsyncClient(base_url=server.url, timeout=30)
        self._number, self._sequence = -1, 0

    async def work(self, token: str, name: int) -> None:
        """Join, and answer until nothing is left."""
        async with self._client:
            joined = (await self._persist("/api/join", {"token": token, "name": f"A{name}"})).json()
            self._client.headers["X-CSRF-Token"] = joined["csrf"]
            self._number = joined["annotator"]["number"]
            again = []
            while True:
                items = (await self._persist("/api/next", {"count": 5})).json()["items"]
                if not items:
                    progress = (await self._client.get("/api/progress")).json()
                    if not progress["remaining"]:
                        break
                    await asyncio.sleep(0.2)
                for item in items:
                    again += await self._answer(item["assignment"])
            for body in again:
                await self._send(body)

    async def _answer(self, assignment: str) -> list[dict[str, Any]]:
        """Answer an item; returns what is sent again at the end."""
        if self._pause:
            await asyncio.sleep(self._random.expovariate(1 / self._pause))
        bodies = [self._body(assignment)]
        if self._random.random() < REVISED:
            # The revision arrives before what it revises.
            bodies.insert(0, self._body(assignment))
        if self._random.random() < DUPLICATED:
            await asyncio.gather(self._send(bodies[0]), self._send(bodies[0]))
        for body in bodies:
            await self._send(body)
        return bodies if self._random.random() < SENT_AT_THE_END else []

    def _body(self, assignment: str) -> dict[str, Any]:
        self._sequence += 1
        return {
            "key": f"{self._random.getrandbits(128):032x}",
            "assignment": assignment,
            "sequence": self._sequence,
            "answer": {"choice": self._random.choice(["left", "right", "equal"])},
            "seconds": 1.0,
            "events": [[0, "shown"], [1000, "answered"]],
            "page_version": "benchmark",
        }

    async def _send(self, body: dict[str, Any]) -> None:
        response = await self._persist("/api/answers", body)
        receipt = response.json()["receipt"]
        known = self._book.acknowledged.setdefault((self._number, body["key"]), {**body})
        self._book.repeated += response.status_code == 200
        if known.setdefault("receipt", receipt) != receipt:
            self._book.problems.append(f"key {body['key']} has two receipts")

    async def _persist(self, path: str, body: dict[str, Any]) -> httpx.Response:
        """Call until the server acknowledges, as the page does."""
        while True:
            begun = time.monotonic()
            try:
                response = await self._client.post(path, json=body)
            except httpx.TransportError:
                self._book.retries += 1
                await asyncio.sleep(self._random.uniform(0.05, 0.3))
                continue
            if response.status_code < 300:
                if path == "/api/answers":
                    self._book.times.append(time.monotonic() - begun)
                return response
            if response.status_code != 429 and response.status_code < 500:
                raise RuntimeError(f"{path}: {response.status_code}: {response.text}")
            self._book.retries += 1
            await asyncio.sleep(float(response.headers.get("Retry-After", 0.2)))


def compare(store: LabelStore, batch: Batch, book: Book, wanted: int) -> None:
    """Write down each difference between the store and what was acknowledged."""
    query = (
        select(
            annotators.c.number, answers.c.key, answers.c.id, answers.c.sequence, answers.c.answer,
            answers.c.assignment_id, assignments.c.answer_id,
        )
        .join(assignments, assignments.c.id == answers.c.assignment_id)
        .join(annotators, annotators.c.id == answers.c.annotator_id)
    )  # fmt: skip
    stored: dict[tuple[int, str], list[Any]] = {}
    newest: dict[str, Any] = {}
    with store.database.reading() as connection:
        for row in connection.execute(query):
            stored.setdefault((row.number, row.key), []).append(row)
            best = newest.get(row.assignment_id)
            if best is None or row.sequence > best.sequence:
                newest[row.assignment_id] = row
    problems = book.problems
    for name, sent in book.acknowledged.items():
        rows = stored.pop(name, [])
        if len(rows) != 1:
            problems.append(f"{name} is stored {len(rows)} times")
        elif (rows[0].id, rows[0].sequence, rows[0].answer) != (
            sent["receipt"], sent["sequence"], sent["answer"]
        ):  # fmt: skip
            problems.append(f"{name} is stored as another answer")
    problems += [f"{name} is stored and was never acknowledged" for name in stored]
    for assignment, row in newest.items():
        if row.answer_id != row.id:
            problems.append(f"of item {assignment} an older revision counts")
    progress = store.progress(batch)
    if (progress.complete, progress.answers) != (progress.questions, wanted):
        problems.append(f"expected {wanted} counted answers, actual: {progress}")
    taken = store.collect(batch)
    if len({one.answer_id for one in taken}) != wanted or len(taken) != wanted:
        problems.append(f"expected {wanted} collected answers, actual: {len(taken)}")


if __name__ == "__main__":
    main()
