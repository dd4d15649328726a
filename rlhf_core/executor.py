"""Where the members of a generation are played: here, or in other processes."""

import os
import signal
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures.process import BrokenProcessPool
from typing import Protocol, TypeVar, runtime_checkable

from rlhf_core.errors import RunError

Job = TypeVar("Job")
Done = TypeVar("Done")

LOOK_SECONDS = 1.0
"""How often a worker looks whether its parent still lives."""


@runtime_checkable
class Spread(Protocol):
    """Applies a function to jobs, wherever it likes; both can be pickled."""

    def __call__(self, function: Callable[[Job], Done], jobs: Sequence[Job], /) -> list[Done]:
        """What the function made of each job, in the order of the jobs.

        Raises:
            Exception: what the function raised for one of them.
        """
        ...


def in_turn(function: Callable[[Job], Done], jobs: Sequence[Job], /) -> list[Done]:
    """One after the other, in this process."""
    return [function(job) for job in jobs]


def processes(count: int) -> Spread:
    """So many processes of this machine, by joblib's engine loky; one is this process itself.

    The workers stay for the next call, leave after five idle minutes, and never outlive this
    process.
    """

    def spread(function: Callable[[Job], Done], jobs: Sequence[Job], /) -> list[Done]:
        from joblib import Parallel, delayed

        # Jobs are small; big ones must not end as files that a killed process leaves behind.
        workers = Parallel(
            n_jobs=count,
            backend="loky",
            batch_size=1,
            pre_dispatch="all",
            max_nbytes=None,
            initializer=end_with_parent,
            initargs=(os.getpid(),),
        )
        try:
            return list(workers(delayed(function)(job) for job in jobs))
        except BrokenProcessPool as error:
            raise RunError(
                f"a worker process ended before its work was done ({error}); if memory ran out, "
                "fewer optimiser.processes need less"
            ) from error

    return in_turn if count == 1 else spread


def end_with_parent(parent: int) -> None:
    """Let this worker end soon after process `parent`, its own one, however that ends.

    A worker waits for work at a pipe that a killed parent does not close.
    """
    if threading.current_thread() is threading.main_thread():
        # Ctrl-C reaches every process of a terminal; the parent sees to its workers.
        signal.signal(signal.SIGINT, signal.SIG_IGN)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(LOOK_SECONDS)
        os._exit(1)

    threading.Thread(target=watch, name="end with parent", daemon=True).start()
