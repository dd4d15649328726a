"""Kill trainings with SIGKILL at random moments, resume them, compare with undisturbed ones.

    python benchmarks/kill_and_resume.py --kills 10

Runs the command itself. Every run is killed several times, at moments drawn uniformly over the time
that an undisturbed run takes, start-up included; then it is resumed to its end. Numbers must be
equal, MLflow must hold one run for each training, FINISHED, and the labels must count exactly.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tasks.home import Home
from tasks.tracking.store import tracker_of

SMALL = ("budget.env_steps=33000", "budget.rounds=4", "budget.labels=60")
COMPARED = (
    "feedback/labels_total",
    "policy/steps",
    "eval/true_return_mean",
    "eval/true_return_iqm",
    "reward/train_loss",
)


def rlhf(home: Path, *arguments: str) -> "subprocess.Popen[str]":
    """Start the command."""
    return subprocess.Popen(
        [sys.executable, "-m", "flows.command", *arguments, "--home", str(home), "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: "subprocess.Popen[str]") -> dict[str, Any]:
    """Wait for the command to succeed and read its result."""
    out, err = process.communicate()
    if process.returncode:
        raise SystemExit(f"rlhf failed: {err}")
    result: dict[str, Any] = json.loads(out)
    return result


def runs(home: Home) -> dict[str, Any]:
    """Every MLflow run of the home by its id."""
    client = tracker_of(home).client()
    places = [experiment.experiment_id for experiment in client.search_experiments()]
    return {run.info.run_id: run for run in client.search_runs(places)}


def damage(store: Path, how: str, rng: random.Random) -> None:
    """Delete an object of the store, or cut it in half."""
    path = rng.choice(sorted(path for path in (store / "objects").rglob("*") if path.is_file()))
    if how == "delete":
        path.unlink()
    else:
        content = path.read_bytes()
        path.chmod(0o644)
        path.write_bytes(content[: len(content) // 2])
    print(f"  {how}: object {path.name[:12]}", flush=True)


def main() -> None:
    """Kill, resume, compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--kills-a-run", type=int, default=3)
    parser.add_argument("--preset", default="pendulum-preference")
    parser.add_argument(
        "--damage", choices=("delete", "cut"), help="an object of the store, after each kill"
    )
    arguments = parser.parse_args()
    rng = random.Random(0)
    place = Path(tempfile.mkdtemp(prefix="rlhf-kill-"))
    home = Home(place)
    sets = [part for override in SMALL for part in ("--set", override)]
    seed, kills, wrong = 0, 0, 0
    while kills < arguments.kills:
        train = ("train", arguments.preset, *sets, "--set", f"seed={seed}")
        began = time.monotonic()
        undisturbed = finish(rlhf(place, *train))["run_id"]
        length = time.monotonic() - began
        before, run_id = set(runs(home)), None
        for _ in range(min(arguments.kills_a_run, arguments.kills - kills)):
            process = rlhf(place, *(("resume", run_id) if run_id else train))
            try:
                process.wait(rng.uniform(0.2, 1.0) * length)
                break  # It was faster than the kill.
            except subprocess.TimeoutExpired:
                os.kill(process.pid, signal.SIGKILL)
                process.communicate()
            kills += 1
            (run_id,) = set(runs(home)) - before or {None}
            status = runs(home)[run_id].info.status if run_id else "not begun"
            print(f"seed {seed}: kill {kills}, run {run_id} {status}", flush=True)
            if status == "FINISHED":
                break
            if arguments.damage and run_id:
                damage(place / "store", arguments.damage, rng)
        else:
            finish(rlhf(place, *(("resume", run_id) if run_id else train)))
        (run_id,) = set(runs(home)) - before
        final = runs(home)
        numbers = [
            [final[r].data.metrics[name] for name in COMPARED] for r in (run_id, undisturbed)
        ]
        wrong += numbers[0] != numbers[1]
        print(f"seed {seed}: killed {numbers[0]}, undisturbed {numbers[1]}", flush=True)
        seed += 1

    states = [run.info.status for run in runs(home).values()]
    unfinished = len(states) - states.count("FINISHED")
    print(
        f"{kills} kills over {seed} runs: {wrong} differ from the undisturbed run; MLflow holds "
        f"{len(states)} runs for {2 * seed} trainings, {unfinished} of them not FINISHED"
    )
    sys.exit(1 if wrong or unfinished or len(states) != 2 * seed else 0)


if __name__ == "__main__":
    main()
