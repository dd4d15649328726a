"""Which runs are being played on other machines: a time that each writes down again and again.

The locks of `tasks.runs.lease` hold on one machine. Where runs are tracked by a server, the run
itself tells when it was last alive, and may be taken up once it has been silent for long.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tasks.runs.run import Run
from tasks.tracking import records
from tasks.tracking.tags import ALIVE_TAG

BEAT_SECONDS = 30.0
SILENCE_SECONDS = 150.0
"""Four beats, and some difference between the clocks of two machines."""


@contextmanager
def beating(run: Run) -> Iterator[None]:
    """Let a run tell that it is alive, inside the block, where other machines may look at it."""
    if run.tracker.local:
        yield
        return
    over = threading.Event()

    def beat() -> None:
        while True:
            # A beat that does not reach the server is not worth a run: the next one may.
            records.try_set_tags(run.tracker, run.run_id, {ALIVE_TAG: f"{time.time():.0f}"})
            if over.wait(BEAT_SECONDS):
                return

    thread = threading.Thread(target=beat, name="heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def is_silent(record: records.Record) -> bool:
    """Whether a run that told when it was alive has not done so for long."""
    alive = record.tags.get(ALIVE_TAG)
    return alive is not None and time.time() - float(alive) > SILENCE_SECONDS
