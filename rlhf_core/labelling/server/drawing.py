"""A pool that draws each clip once: those that somebody waits for before those for later."""

import heapq
import itertools
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, TypeVar

Result = TypeVar("Result")

NOW, LATER = 0, 1
"""Somebody waits for it; somebody will need it."""


class DrawingPool(Generic[Result]):
    """Threads that work through jobs by urgency. A job is known by its key while it is undone."""

    def __init__(self, threads: int, longest: int = 2000) -> None:
        """A pool; its threads begin with the first job.

        Args:
            threads: that work at a time.
            longest: jobs for later that wait at a time; further ones are not taken.
        """
        self._threads, self._longest = threads, longest
        self._queue: list[tuple[int, int, str]] = []
        self._jobs: dict[str, tuple[Callable[[], Result], Future[Result]]] = {}
        self._begun: set[str] = set()
        self._numbers = itertools.count()
        self._changed = threading.Condition()
        self._running: list[threading.Thread] = []
        self._closed = False

    def draw(self, key: str, job: Callable[[], Result], urgency: int = NOW) -> Future[Result]:
        """The result of a job that has this key, which is begun unless it was."""
        with self._changed:
            known = self._jobs.get(key)
            future: Future[Result] = Future() if known is None else known[1]
            full = len(self._jobs) >= self._longest and urgency == LATER
            if self._closed or (known is None and full):
                future.cancel()
                return future
            if known is None:
                self._jobs[key] = (job, future)
            if known is None or urgency == NOW:
                # The same key may wait twice; whoever comes second finds it taken.
                heapq.heappush(self._queue, (urgency, next(self._numbers), key))
                self._changed.notify()
            if len(self._running) < self._threads:
                thread = threading.Thread(target=self._work, name="clips", daemon=True)
                self._running.append(thread)
                thread.start()
        return future

    def close(self) -> None:
        """Finish what is being drawn, and nothing else."""
        with self._changed:
            self._closed = True
            waiting = [future for _, future in self._jobs.values()]
            self._changed.notify_all()
        for future in waiting:
            future.cancel()
        for thread in self._running:
            thread.join()

    def _work(self) -> None:
        while True:
            with self._changed:
                while not self._queue and not self._closed:
                    self._changed.wait()
                if self._closed:
                    return
                key = heapq.heappop(self._queue)[2]
                if key not in self._jobs or key in self._begun:
                    continue
                self._begun.add(key)
                job, future = self._jobs[key]
                if not future.set_running_or_notify_cancel():
                    self._begun.discard(key)
                    self._jobs.pop(key)
                    continue
            self._finish(key, job, future)

    def _finish(self, key: str, job: Callable[[], Result], future: Future[Result]) -> None:
        result: Result | None = None
        error: BaseException | None = None
        try:
            result = job()
        except Exception as raised:
            error = raised
        with self._changed:
            self._begun.discard(key)
            self._jobs.pop(key)
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(result)  # type: ignore[arg-type]
