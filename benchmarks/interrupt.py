"""Press Ctrl-C (or send SIGTERM, SIGHUP) at random moments of a training on a loaded machine.

    python benchmarks/interrupt.py --presses 50 --load 4

Every press must end the command within a minute, with the signal's status and, where a run was
begun, with the way to go on; that run must be closed. At the end some of the runs are resumed, and
their numbers must be those of an undisturbed run. The seed of the moments is printed.
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

from faults import SMALL

from tasks.home import Home
from tasks.tracking.store import tracker_of

EXPERIMENT = "pendulum-preference"
TRAIN = ("train", EXPERIMENT, *(part for change in SMALL for part in ("--set", change)))
COMPARED = ("labels", "env_steps", "true_return_mean", "true_return_iqm")
LIMIT_SECONDS = 60.0


def start(folder: Path, *arguments: str) -> "subprocess.Popen[str]":
    """Start the command."""
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *arguments, "--home", str(folder / "home"), "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=folder,
    )


# A shell that runs this in the background has its children ignore Ctrl-C.
PROGRAM = (
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    "from flows.command.app import main; main()"
)
BUSY = "while True: pass"


def main() -> None:
    """Press, look, resume, compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--presses", type=int, default=50)
    parser.add_argument("--load", type=int, default=4, help="busy processes beside it")
    parser.add_argument("--signal", choices=("INT", "TERM", "HUP"), default="INT")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--resumed", type=int, default=5, help="runs to resume at the end")
    chosen = parser.parse_args()
    print(f"seed {chosen.seed}, SIG{chosen.signal}, load {chosen.load}", flush=True)
    rng = random.Random(chosen.seed)
    number = getattr(signal, f"SIG{chosen.signal}")
    folder = Path(tempfile.mkdtemp(prefix="rlhf-interrupt-"))
    busy = [subprocess.Popen([sys.executable, "-c", BUSY]) for _ in range(chosen.load)]
    try:
        began = time.monotonic()
        out, err = start(folder, *TRAIN).communicate()
        length = time.monotonic() - began
        expected = json.loads(out)
        interrupted, wrong = press(chosen.presses, number, rng, folder, length)
        for run_id in rng.sample(interrupted, min(chosen.resumed, len(interrupted))):
            out, err = start(folder, "resume", run_id).communicate()
            same = bool(out) and all(json.loads(out)[k] == expected[k] for k in COMPARED)
            wrong += not same
            print(f"resumed {run_id}: {'equal' if same else f'differs: {out} {err}'}", flush=True)
    finally:
        for process in busy:
            process.kill()
            process.wait()
    print(f"{chosen.presses} presses, {wrong} wrong")
    sys.exit(1 if wrong else 0)


def press(
    presses: int,
    number: signal.Signals,
    rng: random.Random,
    folder: Path,
    length: float,
) -> tuple[list[str], int]:
    """Interrupt that many trainings; returns the runs that can be resumed, and what went wrong."""
    client = None
    interrupted, seconds, wrong = list[str](), list[float](), 0
    for index in range(presses):
        moment = rng.uniform(0.3, length)
        process = start(folder, *TRAIN)
        try:
            out, err = process.communicate(timeout=moment)
            print(f"{index}: ended before {moment:.1f} s", flush=True)
            continue
        except subprocess.TimeoutExpired:
            pass
        process.send_signal(number)
        sent = time.monotonic()
        try:
            out, err = process.communicate(timeout=LIMIT_SECONDS)
            taken = time.monotonic() - sent
        except subprocess.TimeoutExpired:
            os.kill(process.pid, signal.SIGABRT)  # With faulthandler it says where it stands.
            out, err = process.communicate()
            taken = float("inf")
        seconds.append(taken)
        lines = err.strip().splitlines()
        started = [line.split()[-1] for line in lines if line.startswith("started run")]
        status = "no run"
        if started:
            client = client or tracker_of(Home(folder / "home")).client()
            status = client.get_run(started[0]).info.status
        # Between the printing and the end of Python a signal has nothing left to stop.
        finished = bool(out) and status == "FINISHED"
        # A signal in the first moments meets Python before the command does.
        stopped = process.returncode in (128 + number, -number) and (
            not started or (status == "KILLED" and f"rlhf resume {started[0]}" in err)
        )
        wrong += not (finished or stopped)
        if started and not finished:
            interrupted.append(started[0])
        last = lines[-1] if lines else ""
        print(
            f"{index}: at {moment:.1f} s, ended after {taken:.1f} s, status "
            f"{process.returncode}, run {status}, {last[:120]}",
            flush=True,
        )
        if not (finished or stopped):
            print(err, flush=True)
    ordered = sorted(seconds)
    print(f"seconds to the end: median {ordered[len(ordered) // 2]:.1f}, most {ordered[-1]:.1f}")
    return interrupted, wrong


if __name__ == "__main__":
    main()
