"""Random faults: kill, interrupt, damage and lose things at random moments; compare the numbers.

    python benchmarks/faults.py --faults 200

Every training meets several faults, then it is resumed to its end. Its numbers must be those of the
undisturbed training of the same seed, and MLflow must hold one run for each training, FINISHED.

    kill        SIGKILL of the command
    signal      Ctrl-C, SIGTERM or SIGHUP, after which the command must end by itself
    server      SIGKILL of the home's Prefect server
    lose        a file of the store (object, memo or checkpoint) is deleted after a kill
    cut         it is cut in half
    flip        one of its bits is flipped

The random seed is printed; `--seed` draws the same faults again.
"""

import argparse
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import psutil
from kill_and_resume import COMPARED, finish, rlhf, runs

from tasks.home import Home

KINDS = ("kill", "signal", "server", "lose", "cut", "flip")
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
SMALL = (
    "budget.env_steps=16384", "budget.rounds=3", "budget.labels=40", "budget.initial_steps=3200",
    "optimiser.steps=64", "evaluation.episodes=10",
)  # fmt: skip
EVOLUTION = (
    "optimiser.kind=pgpe", "optimiser.population=8", "optimiser.episodes=1",
    "budget.env_steps=16384", "budget.rounds=2", "budget.labels=40", "budget.initial_steps=3200",
    "evaluation.episodes=10",
)  # fmt: skip
"""Its checkpoints are damaged too."""
END_SECONDS = 120.0
"""A command that was asked to end and has not by then hangs."""


def sets(overrides: tuple[str, ...]) -> list[str]:
    """Options of the command."""
    return [part for override in overrides for part in ("--set", override)]


def damage(store: Path, run_id: str | None, how: str, rng: random.Random) -> str | None:
    """Damage a file that the run would read again; returns what was done, None without any."""
    notes = sorted((store / "memo" / str(run_id)).glob("*.json"))
    checkpoints = sorted((store / "unfinished" / str(run_id)).glob("*.checkpoint"))
    refs = {ref for note in notes for ref in refs_of(note)}
    named = [store / "objects" / ref[:2] / f"{ref}.safetensors" for ref in sorted(refs)]
    objects = [path for path in named if path.exists()]  # An earlier fault may have lost some.
    # One kind of file is as likely as another, however many there are.
    kinds = [files for files in (notes, checkpoints, objects) if files]
    if not kinds:
        return None
    path = rng.choice(rng.choice(kinds))
    content = bytearray(path.read_bytes())
    if how == "lose":
        path.unlink()
    elif how == "cut":
        path.write_bytes(bytes(content[: len(content) // 2]))
    else:
        bit = rng.randrange(8 * len(content))
        content[bit // 8] ^= 1 << bit % 8
        path.write_bytes(bytes(content))
    return f"{how} {path.parent.parent.name}/{path.name[:24]}"


def refs_of(note: Path) -> list[str]:
    """The objects that a stage's note names; none where an earlier fault damaged it."""
    try:
        content = json.loads(note.read_bytes().partition(b"\n")[2])
        return list(content.get("refs", {}).values())
    except ValueError:
        return []


def kill_server(home: Path) -> str | None:
    """Kill the home's Prefect server; None where there is none yet."""
    for process in psutil.process_iter():
        try:
            line = process.cmdline()
        except psutil.Error:
            continue
        if str(home) in line and any("flows.services.prefect" in part for part in line):
            process.kill()
            return "killed the Prefect server"
    return None


def disturb(
    process: "subprocess.Popen[str]",
    home: Path,
    known: set[str],
    kind: str,
    moment: float,
    rng: random.Random,
) -> str | None:
    """Let a fault happen; returns what happened, None where nothing did."""
    try:
        process.wait(moment)
    except subprocess.TimeoutExpired:
        pass
    else:
        return None
    if kind == "server":
        return kill_server(home)
    if kind == "signal":
        number = rng.choice(SIGNALS)
        process.send_signal(number)
        began = time.monotonic()
        process.communicate(timeout=END_SECONDS)
        return f"{number.name}, ended after {time.monotonic() - began:.1f} s"
    process.kill()
    process.communicate()
    if kind == "kill":
        return "killed"
    (run_id,) = set(runs(Home(home))) - known or {None}
    what = damage(home / "store", run_id, kind, rng)
    return what and f"killed; {what}"


def play(
    home: Path, train: list[str], length: float, left: int, rng: random.Random, count: Counter[str]
) -> str:
    """One training with up to four faults, resumed to its end; returns its run id."""
    place, run_id = Home(home), None
    before = set(runs(place))
    for _ in range(min(left, rng.randint(1, 4))):
        kind = rng.choice(KINDS)
        process = rlhf(home, *(["resume", run_id] if run_id else train))
        what = disturb(process, home, before, kind, rng.uniform(0.1, 1.0) * length, rng)
        if what is not None:
            count[kind] += 1
            print(f"  {what}", flush=True)
        if process.returncode is None or process.returncode == 0:
            finish(process)  # It was faster, or goes on.
        (run_id,) = set(runs(place)) - before or {None}
        if run_id is not None and runs(place)[run_id].info.status == "FINISHED":
            return run_id
    return str(finish(rlhf(home, *(["resume", run_id] if run_id else train)))["run_id"])


def main() -> None:
    """Disturb, resume, compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--faults", type=int, default=200)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--preset", default="pendulum-preference")
    arguments = parser.parse_args()
    print(f"random seed {arguments.seed}", flush=True)
    rng = random.Random(arguments.seed)
    home = Path(tempfile.mkdtemp(prefix="rlhf-faults-"))
    expected: dict[tuple[int, bool], tuple[list[float], float]] = {}
    count, trainings, wrong = Counter[str](), 0, 0
    while count.total() < arguments.faults:
        seed, evolution = rng.randrange(3), rng.random() < 0.25
        changes = (*(EVOLUTION if evolution else SMALL), f"seed={seed}")
        train = ["train", arguments.preset, *sets(changes)]
        if (seed, evolution) not in expected:
            began = time.monotonic()
            run_id = finish(rlhf(home, *train))["run_id"]
            trainings += 1
            expected[seed, evolution] = numbers(home, run_id), time.monotonic() - began
        right, length = expected[seed, evolution]
        run_id = play(home, train, length, arguments.faults - count.total(), rng, count)
        trainings += 1
        equal = numbers(home, run_id) == right
        wrong += not equal
        verdict = "equal" if equal else f"{numbers(home, run_id)}, expected {right}"
        print(f"{count.total()} faults, training {trainings}: {verdict}", flush=True)
    states = [run.info.status for run in runs(Home(home)).values()]
    unfinished = len(states) - states.count("FINISHED")
    print(
        f"{count.total()} faults ({', '.join(f'{n} {kind}' for kind, n in sorted(count.items()))}) "
        f"in {trainings} trainings: {wrong} with other numbers; MLflow holds {len(states)} runs, "
        f"{unfinished} of them not FINISHED"
    )
    sys.exit(1 if wrong or unfinished or len(states) != trainings else 0)


def numbers(home: Path, run_id: str) -> list[Any]:
    """What must not change."""
    metrics = runs(Home(home))[run_id].data.metrics
    return [metrics.get(name) for name in COMPARED]


if __name__ == "__main__":
    main()
