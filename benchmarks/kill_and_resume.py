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

SMALL = ("budget.env_steps=33000", "budget.rounds=4", "budget.labels=60")
COMPARED = ("labels", "env_steps", "true_return_mean", "true_return_iqm")


def rlhf(home: Path, *arguments: str) -> "subprocess.Popen[str]":
    """Start the command."""
    return subprocess.Popen(
        [sys.executable, "-m", "flows.cli", *arguments, "--home", str(home), "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: "subprocess.Popen[str]") -> dict[str, Any]:
    """Wait for the command and read its result."""
    out, err = process.communicate()
    if process.returncode:
        raise SystemExit(f"rlhf failed: {err}")
    result: dict[str, Any] = json.loads(out)
    return result


def leases(home: Path) -> set[str]:
    """Runs that are going on, or were when they were killed."""
    return {path.stem for path in (home / "leases").glob("*.json")}


def main() -> None:
    """Kill, resume, compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--kills-a-run", type=int, default=3)
    parser.add_argument("--preset", default="pendulum-preference")
    arguments = parser.parse_args()
    rng = random.Random(0)
    home = Path(tempfile.mkdtemp(prefix="rlhf-kill-"))
    sets = [part for override in SMALL for part in ("--set", override)]
    seed, kills, wrong, undisturbed_runs = 0, 0, 0, 0
    while kills < arguments.kills:
        train = ("train", arguments.preset, *sets, "--set", f"seed={seed}")
        began = time.monotonic()
        undisturbed = finish(rlhf(home, *train))
        undisturbed_runs += 1
        length = time.monotonic() - began
        before = leases(home)
        run_id, command = None, train
        for _ in range(min(arguments.kills_a_run, arguments.kills - kills)):
            process = rlhf(home, *command)
            try:
                process.wait(rng.uniform(0.2, 1.0) * length)
                break  # It was faster than the kill.
            except subprocess.TimeoutExpired:
                os.kill(process.pid, signal.SIGKILL)
                process.communicate()
            kills += 1
            found = leases(home) - before
            if run_id is None and found:
                (run_id,) = found
            command = ("resume", run_id) if run_id else train
            print(f"seed {seed}: kill {kills}, run {run_id or 'not begun'}", flush=True)
        else:
            process = rlhf(home, *command)
        resumed = finish(process)
        same = all(resumed[name] == undisturbed[name] for name in COMPARED)
        wrong += not same
        print(f"seed {seed}: {'equal' if same else 'DIFFERENT'} {resumed}", flush=True)
        seed += 1

    from tasks import tracking
    from tasks.home import Home

    client = tracking.client(Home(home))
    runs = client.search_runs([e.experiment_id for e in client.search_experiments()])
    open_runs = [r.info.run_id for r in runs if r.info.status != "FINISHED"]
    print(
        f"{kills} kills over {seed} runs: {wrong} differ; MLflow holds {len(runs)} runs "
        f"({undisturbed_runs} undisturbed, {seed} resumed), {len(open_runs)} not FINISHED"
    )
    sys.exit(1 if wrong or open_runs or len(runs) != undisturbed_runs + seed else 0)


if __name__ == "__main__":
    main()
