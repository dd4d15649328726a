"""What a worker of a cluster does with a job: it plays it in a process of its own."""

import queue
from collections.abc import Mapping
from typing import Any

from flows.runners.job import Job, RunFailedError, WorkerLostError
from flows.runners.place import Place
from flows.runners.processes import Worker
from rlhf_core.errors import RlhfError

_idle: dict[Place, queue.LifoQueue[Worker]] = {}
"""Processes of this worker that wait for their next run; they end with the worker."""


def play(job: Job, place: Place) -> dict[str, Any]:
    """Play a run on this machine; returns how it ended, as `summary_of` reads it."""
    try:
        home = place.opened()
    except RlhfError as error:
        return {"failed": str(error), "run_id": None, "lost": False}
    idle = _idle.setdefault(place, queue.LifoQueue())
    try:
        worker = idle.get_nowait()
    except queue.Empty:
        worker = Worker(home)
    try:
        return {"summary": worker.play(job, lambda event: None)}
    except RunFailedError as error:
        lost = isinstance(error, WorkerLostError)
        return {"failed": str(error), "run_id": error.run_id, "lost": lost}
    finally:
        if worker.alive:
            idle.put(worker)


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
