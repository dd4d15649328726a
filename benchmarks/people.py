"""A run of `pendulum-people` from end to end: 60 answers over HTTP, killed while it waits, resumed.

The scripted person compares the true returns of the clips, which it computes from what they show;
with `--wrong` a share of the answers is the other one.

    python benchmarks/people.py --home FOLDER --seeds 0 1 2
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tasks.home import Home
from tasks.people import labels_of
from tasks.tracking.store import prepare
from tasks.tracking.tags import PEOPLE_TAG
from tests.labelling.scripted import PendulumJudge, ScriptedAnnotator

OTHER = {"left": "right", "right": "left"}


def started(home: Path, *arguments: str) -> "subprocess.Popen[str]":
    """Start `rlhf` on a home."""
    return subprocess.Popen(
        [sys.executable, "-m", "flows.command", *arguments, "--home", str(home), "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )


def waiting(home: Path, known: set[str]) -> tuple[str, str]:
    """The id and the link of a run that waits and is not among the known ones."""
    client = prepare(Home(home)).client()
    while True:
        for experiment in client.search_experiments():
            for run in client.search_runs([experiment.experiment_id]):
                if run.info.run_id not in known and PEOPLE_TAG in run.data.tags:
                    return run.info.run_id, run.data.tags[PEOPLE_TAG]
        time.sleep(0.5)


def answered(home: Path, link: str, count: int, wrong: float, rng: random.Random) -> None:
    """Answer so many questions, as they come."""
    with labels_of(Home(home)) as labels:
        judge, annotator = PendulumJudge(labels), ScriptedAnnotator(link, "scripted")

        def choose(item: Mapping[str, Any]) -> dict[str, Any]:
            answer = judge(item)
            return {"choice": OTHER[answer["choice"]]} if rng.random() < wrong else answer

        while count:
            done = annotator.work(choose, count)
            count -= done
            time.sleep(0 if done else 0.5)
        annotator.close()


def main() -> None:
    """Print a row a seed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="*", default=[0])
    parser.add_argument("--answers", type=int, default=60)
    parser.add_argument("--wrong", type=float, default=0.0)
    given = parser.parse_args()
    print(
        "| seed | answers | labels | true return (IQM) | before training |\n|---|---|---|---|---|"
    )
    known: set[str] = set()
    for seed in given.seeds:
        rng = random.Random(seed)
        process = started(given.home, "train", "pendulum-people", "--seed", str(seed))
        run_id, link = waiting(given.home, known)
        known.add(run_id)
        before = min(14, given.answers)
        answered(given.home, link, before, given.wrong, rng)
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        process = started(given.home, "resume", run_id)
        answered(given.home, link, given.answers - before, given.wrong, rng)
        summary = json.loads(process.communicate()[0])
        print(
            f"| {seed} | {given.answers} | {summary['labels']} | "
            f"{summary['true_return_iqm']:.1f} | {summary['first_return_iqm']:.1f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
