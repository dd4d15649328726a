"""What a comparison of many cells costs beside its runs: the tracking store, Prefect, the store.

    python benchmarks/scale.py --cells 1000 [--s3 s3://bucket/place]

Prints one JSON line a measurement, in seconds. It uses the servers of the environment, or embedded
ones in a new home.
"""

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from flows.services.connect import connect
from rlhf_core.evaluation.outcome import Evaluation
from rlhf_core.store import Store
from tasks.home import Home
from tasks.tracking import records
from tasks.tracking.store import tracker_of
from tasks.tracking.tags import CONTENT_TAG


def timed(what: str, count: int, work: Callable[[], Any]) -> None:
    """Print how long work takes, and for each of `count`."""
    began = time.perf_counter()
    work()
    seconds = time.perf_counter() - began
    line = {"what": what, "count": count, "seconds": round(seconds, 2)}
    print(json.dumps({**line, "milliseconds_each": round(1000 * seconds / count, 2)}), flush=True)


def track(home: Home, cells: int) -> None:
    """Records of runs made, and looked up as a comparison does before it plays them."""
    tracker = tracker_of(home)

    def create() -> None:
        for cell in range(cells):
            tags = {CONTENT_TAG: f"content-{cell}", "rlhf.project": "rlhf-flows"}
            records.create(tracker, "Scale-v0", f"run {cell}", tags, {})

    def look_up() -> None:
        contents = ({CONTENT_TAG: f"content-{cell}"} for cell in range(cells))
        assert sum(len(found) for found in records.find_each(tracker, contents)) == cells

    timed("MLflow: a run is created", cells, create)
    timed("MLflow: all runs are looked up before the first is played", cells, look_up)


def orchestrate(cells: int) -> None:
    """Tasks that do nothing, as many in one flow run as a comparison has runs."""
    from prefect import flow, task

    @task(persist_result=False)
    def nothing(cell: int) -> int:
        return cell

    @flow(persist_result=False)
    def comparison() -> None:
        for begin in range(0, cells, 2):
            futures = [nothing.submit(cell) for cell in range(begin, min(begin + 2, cells))]
            for future in futures:
                future.result()

    timed("Prefect: a task of a comparison, two at a time", cells, comparison)


def keep(address: str, objects: int) -> None:
    """Objects put, listed and read."""
    store, steps = Store(address).create(), np.ones(1, dtype=int)
    values = [Evaluation(np.array([float(index)]), steps) for index in range(objects)]
    refs = list[str]()
    scheme = address.partition("://")[0] if "://" in address else "a folder"
    timed(f"store in {scheme}: put", objects, lambda: refs.extend(map(store.put, values)))
    timed(f"store in {scheme}: list all", objects, store.objects)
    timed(f"store in {scheme}: get", objects, lambda: [store.get(ref, Evaluation) for ref in refs])


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--cells", type=int, default=1000)
    parser.add_argument("--s3", help="Address of a store on an object store, measured too.")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        home = Home(folder)
        os.environ["RLHF_HOME"] = folder
        connect(home)
        keep(f"{folder}/measured", arguments.cells)
        if arguments.s3:
            keep(arguments.s3, arguments.cells)
        track(home, arguments.cells)
        orchestrate(arguments.cells)


if __name__ == "__main__":
    main()
