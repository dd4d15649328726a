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
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any, TextIO
from uuid import uuid4

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
        for event in _play(jobs.get(), events):
            _send(events, event)


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


def _play(job: Mapping[str, Any], events: TextIO) -> Iterator[dict[str, Any]]:
    """Play one run; the last event says how it ended."""
    from flows.train import play_run
    from rlhf_core.configuration import from_mapping
    from tasks import progress
    from tasks.driver import TaskDriver, unobserved
    from tasks.failures import recorded
    from tasks.home import Home
    from tasks.reasons import reason
    from tasks.runs import lifecycle
    from tasks.runs.states import Event

    home, owner, began = Home(), str(uuid4()), time.perf_counter()
    try:
        with progress.listening(_Reporter(events)):
            experiment = from_mapping(job["experiment"])
            run = lifecycle.open_run(
                home, experiment, job["run_id"], owner, job["group"], job["parent"],
                cell=job["cell"], prefect_run=job["prefect_run"],
                prefect_page=job["prefect_page"],
            )  # fmt: skip
            with recorded(run):
                summary = play_run(TaskDriver(run, unobserved), run, began)
    except (Exception, SystemExit) as error:
        # The comparison goes on: the failure is reported, and stands in the record of the run.
        text = reason(error)
        lifecycle.close_flow_run(home, owner, Event.FAIL, text)
        yield {"kind": "Failed", "reason": text}
    else:
        lifecycle.close_flow_run(home, owner, None, "")
        if "waiting" in summary:
            text = f"waits for people: {summary['waiting']}"
            yield {"kind": "Failed", "reason": text}
        else:
            yield {"kind": "Ended", "summary": summary}


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
        elif isinstance(event, progress.Finished):
            return  # The summary comes with the end.
        _send(self._events, {"kind": type(event).__name__, "fields": asdict(event)})


if __name__ == "__main__":
    serve()
