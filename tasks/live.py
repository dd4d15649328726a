"""Where the runs that are being played stand, written down for whoever watches from elsewhere.

One small file a run or comparison in the folder `progress` of the home, at most once a second.
"""

import json
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tasks import progress
from tasks.home import Home, write_private
from tasks.progress import Planned
from tasks.reasons import reason
from tasks.runs.run import Run

WRITE_SECONDS = 1.0
"""A file is written at most this often."""
LIFE_SECONDS = 86_400.0
"""A file of a run that ended is removed after this long."""
WAITING, RUNNING, FINISHED, FAILED, REUSED = "waiting", "running", "finished", "failed", "reused"
"""States of a run; a reused one was finished before the comparison began."""


@dataclass
class LiveRun:
    """Where one run stands."""

    cell: str
    """Empty for a run by itself."""
    seed: int
    rounds: int
    total_steps: int
    state: str = WAITING
    run_id: str | None = None
    stage: str = ""
    round: int = 0
    """From 0."""
    steps: int = 0
    labels: int = 0
    curve: list[tuple[int, int, float | None]] = field(default_factory=list)
    """Environment steps, labels and true return at the end of each round."""
    began: float | None = None
    """Unix time."""
    ended: float | None = None
    reason: str | None = None
    """Why it failed."""

    @property
    def true_return(self) -> float | None:
        """The newest; None before there is one."""
        returns = [true_return for _, _, true_return in self.curve if true_return is not None]
        return returns[-1] if returns else None

    def receive(self, event: progress.Event) -> None:
        """Take note of an event of this run."""
        match event:
            case progress.Opened(run_id, _):
                self.run_id, self.state, self.began = run_id, RUNNING, time.time()
            case progress.Stage(_, name, round):
                self.stage, self.round = name, round
            case progress.Steps(_, count):
                self.steps += count
            case progress.RoundDone(_, round, steps, labels, true_return):
                self.steps, self.labels = steps, labels
                # A resumed run reports the rounds that it finds done again.
                self.curve = [*self.curve[:round], (steps, labels, true_return)]
            case progress.CellEnded(summary, reason):
                self.ended, self.reason = time.time(), reason
                self.state = FAILED if summary is None else FINISHED
            case progress.Finished():
                self.ended, self.state = time.time(), FINISHED


@dataclass
class Live:
    """Where a run or a comparison stands."""

    name: str
    run_id: str
    """Of MLflow."""
    runs: list[LiveRun]
    """One where it is a run by itself."""
    comparison: bool
    workers: int
    """Runs that are played at the same time."""
    began: float
    pid: int
    ended: bool = False

    def receive(self, event: progress.Event) -> None:
        """Take note of an event."""
        if isinstance(event, progress.InCell):
            self.of(event.cell, event.seed).receive(event.event)
        elif not self.comparison:
            self.runs[0].receive(event)

    def interrupt(self, reason: str) -> None:
        """Take note that it ended in the middle."""
        for run in self.runs:
            if run.state == RUNNING:
                run.state, run.reason, run.ended = FAILED, reason, time.time()

    def of(self, cell: str, seed: int) -> LiveRun:
        """The run of a cell and seed."""
        return next(run for run in self.runs if (run.cell, run.seed) == (cell, seed))

    def seconds_left(self) -> float | None:
        """An estimate from how long the runs have taken so far; None before there is any."""
        now = time.time()
        whole, left = list[float](), list[LiveRun]()
        for run in self.runs:
            if run.began is None:
                left += [run] if run.state == WAITING else []
                continue
            share = min(run.steps / run.total_steps, 1.0) if run.total_steps else 0.0
            if run.state == RUNNING:
                left.append(run)
            if run.state == FINISHED or (run.state == RUNNING and share > 0.05):
                whole.append(((run.ended or now) - run.began) / (1.0 if run.ended else share))
        if not left or not whole:
            return 0.0 if not left else None
        each = sum(whole) / len(whole)
        spent = sum(now - run.began for run in left if run.began is not None)
        return max(each * len(left) - spent, 0.0) / min(self.workers, len(left))


def of_run(run: Run) -> Live:
    """A run that begins."""
    experiment = run.experiment
    steps = experiment.first_steps + experiment.total_steps
    only = LiveRun("", experiment.seed, experiment.budget.rounds, steps, RUNNING, run.run_id)
    only.began = time.time()
    return Live(experiment.name, run.run_id, [only], False, 1, only.began, os.getpid())


def of_comparison(name: str, run_id: str, planned: Planned) -> Live:
    """A comparison that begins."""
    runs = list[LiveRun]()
    for plan in planned.runs:
        run = LiveRun(plan.cell, plan.seed, plan.rounds, plan.steps)
        if plan.summary is not None:
            run.state, run.run_id = REUSED, plan.summary["run_id"]
            run.steps, run.labels = plan.summary["env_steps"], plan.summary["labels"]
            run.curve = [(run.steps, run.labels, plan.summary["true_return_iqm"])]
        runs.append(run)
    return Live(name, run_id, runs, True, planned.workers, time.time(), os.getpid())


@contextmanager
def published(home: Home, live: Live) -> Iterator[None]:
    """Write down where a run or comparison stands while the block is played."""
    folder = home.folder("progress")
    _remove_old(folder)
    writer = _Writer(folder / f"{live.run_id}.json", live)
    writer.write()
    try:
        with progress.listening(writer.receive):
            yield
    except BaseException as error:
        live.interrupt(reason(error))
        raise
    finally:
        live.ended = True
        writer.write()


class _Writer:
    """Listens in several threads."""

    def __init__(self, path: Path, live: Live) -> None:
        self._path, self._live = path, live
        self._lock = threading.Lock()
        self._written = 0.0

    def receive(self, event: progress.Event) -> None:
        with self._lock:
            self._live.receive(event)
            if time.monotonic() > self._written + WRITE_SECONDS:
                self.write()

    def write(self) -> None:
        write_private(self._path, json.dumps(asdict(self._live)))
        self._written = time.monotonic()


def _remove_old(folder: Path) -> None:
    for path in folder.glob("*.json"):
        if path.stat().st_mtime < time.time() - LIFE_SECONDS:
            path.unlink(missing_ok=True)


def read(home: Home) -> list[Live]:
    """Everything that is played, or was a short while ago, the newest first."""
    folder = home.folder("progress")
    states = [_read(path) for path in folder.glob("*.json")]
    return sorted(states, key=lambda live: live.began, reverse=True)


def read_one(home: Home, run_id: str) -> Live | None:
    """Where one run or comparison stands; None where that is not written down."""
    path = home.folder("progress") / f"{run_id}.json"
    return _read(path) if path.exists() else None


def _read(path: Path) -> Live:
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    runs = [LiveRun(**run) for run in content.pop("runs")]
    return Live(**content, runs=runs)
