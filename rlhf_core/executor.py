"""Executors: one function applied to many jobs, in this process or in others."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import Protocol, TypeVar, runtime_checkable

from rlhf_core.errors import RunError

Job = TypeVar("Job")
Done = TypeVar("Done")

SAFE_PATH = "PYTHONSAFEPATH"
"""With it Python does not put the working folder first on the import path."""
LOOK_SECONDS = 1.0
"""Interval at which a worker checks that its parent process is alive."""


@runtime_checkable
class Executor(Protocol):
    """Applies a function to jobs, in this process or in others; both can be pickled."""

    def __call__(self, function: Callable[[Job], Done], jobs: Sequence[Job], /) -> list[Done]:
        """Return the result of each job, in the order of the jobs.

        Raises:
            Exception: the function raised it for one of the jobs.
        """
        ...


def in_turn(function: Callable[[Job], Done], jobs: Sequence[Job], /) -> list[Done]:
    """Run the jobs one after the other in this process."""
    return [function(job) for job in jobs]


def processes(count: int) -> Executor:
    """Return an executor of `count` processes of this machine, by joblib's loky; 1: this process.

    The workers stay for the next call, end after five idle minutes, and end with this process.
    """

    def execute(function: Callable[[Job], Done], jobs: Sequence[Job], /) -> list[Done]:
        from joblib import Parallel, delayed

        # joblib writes large arrays to files, which a killed process would leave behind.
        workers = Parallel(
            n_jobs=count,
            backend="loky",
            batch_size=1,
            pre_dispatch="all",
            max_nbytes=None,
            initializer=_start_worker,
            initargs=(os.getpid(), SAFE_PATH in os.environ),
        )
        try:
            with _safe_path():
                return list(workers(delayed(function)(job) for job in jobs))
        except BrokenProcessPool as error:
            raise RunError(
                f"a worker process ended before its work was done ({error}); if memory ran out, "
                "fewer optimiser.processes need less"
            ) from error

    return in_turn if count == 1 else execute


@contextmanager
def _safe_path() -> Iterator[None]:
    """Let processes that start inside the block look for modules where this one does.

    They start as `python -m`, which puts the working folder first: a `numpy.py` there would be
    taken for NumPy before this process could send them its own path.
    """
    if SAFE_PATH in os.environ:
        yield
        return
    os.environ[SAFE_PATH] = "1"
    try:
        yield
    finally:
        os.environ.pop(SAFE_PATH, None)


def _start_worker(parent: int, safe_path: bool) -> None:
    """Begin the work of a worker process.

    Args:
        parent: id of the parent process.
        safe_path: whether the user chose a safe path; else processes of the environment get none.
    """
    if not safe_path:
        os.environ.pop(SAFE_PATH, None)
    end_with_parent(parent)


def end_with_parent(parent: int) -> None:
    """End this worker soon after its parent process ends, even if the parent is killed.

    A worker reads its jobs from a pipe, which a killed parent does not close.

    Args:
        parent: id of the parent process.
    """
    if threading.current_thread() is threading.main_thread():
        # Ctrl-C reaches every process of a terminal; the parent ends its workers itself.
        signal.signal(signal.SIGINT, signal.SIG_IGN)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(LOOK_SECONDS)
        os._exit(1)

    threading.Thread(target=watch, name="end with parent", daemon=True).start()
