"""A process that plays runs of a comparison, one after the other, and imports everything once.

Jobs come on standard input and events go to standard output, one JSON object a line. What user code
prints goes to standard error. The end of the input, however the parent ends, ends the process.
"""

import json
import os
import queue
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, TextIO

STEPS_SECONDS = 0.2
"""Environment steps are reported at most this often."""


def serve() -> None:
    """Play what comes on standard input until that ends."""
    events = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    jobs: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(sys.stdin, jobs), name="jobs", daemon=True).start()
    from flows.modules import find_modules_here

    find_modules_here()
    _import_everything()
    _send(events, {"kind": "Ready"})
    while True:
        _send(events, _play(jobs.get(), events))


def _read(lines: TextIO, jobs: "queue.SimpleQueue[dict[str, Any]]") -> None:
    for line in lines:
        jobs.put(json.loads(line))
    os._exit(0)  # Nobody is there any more; an open run is closed by whoever comes next.


def _import_everything() -> None:
    import matplotlib.figure  # noqa: F401
    import stable_baselines3.common.utils  # noqa: F401
    import torch  # noqa: F401

    import flows.train  # noqa: F401
    from tasks.tracking import registry

    registry.preload()


def _send(events: TextIO, event: Mapping[str, Any]) -> None:
    events.write(json.dumps(event) + "\n")
    events.flush()


def _play(job: Mapping[str, Any], events: TextIO) -> dict[str, Any]:
    """Play one run; the event says how it ended."""
    from flows.runners.job import Job, RunFailedError
    from flows.runners.playing import played
    from tasks.home import Home

    try:
        summary = played(Home(), Job(**job), _Reporter(events))
    except RunFailedError as error:
        return {"kind": "Failed", "reason": str(error), "run_id": error.run_id}
    return {"kind": "Ended", "summary": summary}


class _Reporter:
    """Sends the events of a run, steps gathered."""

    def __init__(self, events: TextIO) -> None:
        self._events = events
        self._steps = 0
        self._sent = 0.0

    def __call__(self, event: Any) -> None:
        from tasks import progress

        if isinstance(event, progress.Steps):
            self._steps += event.count
            if time.monotonic() < self._sent + STEPS_SECONDS:
                return
            event, self._steps = progress.Steps(event.run_id, self._steps), 0
            self._sent = time.monotonic()
        _send(self._events, {"kind": type(event).__name__, "fields": asdict(event)})


if __name__ == "__main__":
    serve()
