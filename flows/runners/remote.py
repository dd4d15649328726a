"""What a worker of a cluster does with a job: it plays it in a process of its own."""

import queue
from collections.abc import Mapping
from typing import Any

from flows.runners.job import Job, RunFailedError, WorkerLostError
from flows.runners.place import Place
from flows.runners.processes import Worker
from rlhf_core.errors import RlhfError
from tasks.home import Home
from tasks.reasons import reason

_idle: dict[Place, queue.LifoQueue[Worker]] = {}
"""Processes of this worker that wait for their next run; they end with the worker."""


def play(job: Job, place: Place) -> dict[str, Any]:
    """Play a run on this machine; returns how it ended, as `summary_of` reads it."""
    try:
        home = place.opened()
        worker = _worker(home, place)
    except (RlhfError, OSError) as error:
        return {"failed": reason(error), "run_id": None, "lost": False}
    try:
        return {"summary": worker.play(job, lambda event: None)}
    except RunFailedError as error:
        lost = isinstance(error, WorkerLostError)
        return {"failed": str(error), "run_id": error.run_id, "lost": lost}
    finally:
        if worker.alive:
            _idle[place].put(worker)


def _worker(home: Home, place: Place) -> Worker:
    """A process that waits, or else a new one."""
    idle = _idle.setdefault(place, queue.LifoQueue())
    while True:
        try:
            worker = idle.get_nowait()
        except queue.Empty:
            return Worker(home)
        if worker.alive:
            return worker


def summary_of(outcome: Mapping[str, Any]) -> dict[str, Any]:
    """The summary of a run that `play` played.

    Raises:
        RunFailedError: it failed.
        WorkerLostError: its process is gone.
    """
    if "summary" in outcome:
        summary: dict[str, Any] = outcome["summary"]
        return summary
    kind = WorkerLostError if outcome["lost"] else RunFailedError
    raise kind(outcome["failed"], outcome["run_id"])
