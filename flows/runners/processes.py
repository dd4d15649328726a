"""A runner of worker processes of this machine, as the process that hands out the work has them."""

import itertools
import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import IO, Any

import psutil

from flows.runners.job import Job, Receive, RunFailedError, RunnerLeftError, WorkerLostError
from tasks import progress
from tasks.home import Home, private
from tasks.runs import lease

MODULE = "flows.runners.worker"
ORPHAN_SECONDS = 15.0
"""Longest wait for the end of workers whose parent was killed."""
END_SECONDS = 5.0
"""How long a worker may take to end after its input has ended."""

_numbers = itertools.count()


class Worker:
    """One process that plays a run at a time."""

    def __init__(self, home: Home) -> None:
        """Start the process; it is ready once its imports are done."""
        name = f"{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}{next(_numbers):03d}.log"
        self._ended = False
        self._reading = threading.Lock()
        self._log = home.folder("logs") / name
        with private(self._log, "a") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", MODULE, str(os.getpid())],
                env={**os.environ, "RLHF_HOME": str(home.path), "OMP_NUM_THREADS": "1"},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                # Ctrl-C is for the command, which ends its workers.
                start_new_session=True,
            )

    def play(self, job: Job, receive: Receive) -> dict[str, Any]:
        """Play a run to its end; returns its summary.

        Raises:
            RunFailedError: it failed.
            WorkerLostError: the process ended meanwhile.
        """
        with self._reading:
            return self._play(job, receive)

    def _play(self, job: Job, receive: Receive) -> dict[str, Any]:
        run_id = job.run_id
        # Of a process that has ended nothing is read below.
        with suppress(BrokenPipeError, ValueError):
            _pipe(self._process.stdin).write(json.dumps(vars(job)) + "\n")
            _pipe(self._process.stdin).flush()
        for line in _pipe(self._process.stdout):
            if not line.endswith("\n"):
                break  # It was killed while it wrote.
            event = json.loads(line)
            match event["kind"]:
                case "Ready":
                    continue
                case "Ended":
                    summary: dict[str, Any] = event["summary"]
                    return summary
                case "Failed":
                    raise RunFailedError(event["reason"], event["run_id"])
                case kind:
                    reported = getattr(progress, kind)(**event["fields"])
                    run_id = reported.run_id
                    receive(reported)
        status = self._process.wait()
        if self._ended:
            raise RunnerLeftError(run_id)
        how = f"by signal {-status}" if status < 0 else f"with status {status}"
        raise WorkerLostError(f"its worker process ended {how}; see {self._log}", run_id)

    @property
    def alive(self) -> bool:
        """Whether the process can play another run."""
        return self._process.poll() is None

    def end(self) -> None:
        """End the process, in the middle of a run if need be."""
        if self._ended:
            return
        self._ended = True
        with suppress(BrokenPipeError):  # It has ended already.
            _pipe(self._process.stdin).close()
        try:
            self._process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        with self._reading:  # Whoever reads has come to the end by now.
            _pipe(self._process.stdout).close()
        if self._log.stat().st_size == 0:
            self._log.unlink()


def wait_for_orphans(home: Home) -> None:
    """Wait until workers have ended whose parent was killed; they do so by themselves.

    Until then they hold runs that the next comparison would go on with.
    """
    deadline = time.monotonic() + ORPHAN_SECONDS
    while _orphans(home) and time.monotonic() < deadline:
        time.sleep(0.1)


def _orphans(home: Home) -> list[int]:
    with lease.nobody_works(home) as working:
        pids = [work.pid for work in working]
    return [pid for pid in pids if _is_orphan(pid)]


def _is_orphan(pid: int) -> bool:
    try:
        process = psutil.Process(pid)
        command: list[str] = process.cmdline()
        return command[-2:-1] == [MODULE] and command[-1] != str(process.ppid())
    except psutil.NoSuchProcess:
        return False


class Processes:
    """Workers that wait for the next run after one."""

    def __init__(self, home: Home, count: int) -> None:
        """Start the workers: their imports take seconds, so the earlier the better.

        Args:
            home: where the runs are.
            count: of processes, at most.
        """
        self._home = home
        self._closing, self._closed = threading.Lock(), False
        self._idle: queue.LifoQueue[Worker] = queue.LifoQueue()
        self._all = [Worker(home) for _ in range(count)]
        self.count = count
        for worker in self._all:
            self._idle.put(worker)

    def play(self, job: Job, receive: Receive) -> dict[str, Any]:
        """Play a run in a process; returns its summary. Raises as `Worker.play` does."""
        with self._worker(job) as worker:
            return worker.play(job, receive)

    @contextmanager
    def _worker(self, job: Job) -> Iterator[Worker]:
        """A worker that nobody else uses inside the block, waited for if need be."""
        worker = self._idle.get()
        try:
            with self._closing:
                if self._closed:
                    raise RunnerLeftError(job.run_id)
                if not worker.alive:
                    worker = Worker(self._home)
                    self._all.append(worker)
            yield worker
        finally:
            self._idle.put(worker)

    def close(self) -> None:
        """End every worker."""
        with self._closing:
            self._closed = True
        for worker in self._all:
            worker.end()


def _pipe(stream: IO[str] | None) -> IO[str]:
    assert stream is not None, "the process was started with pipes"
    return stream
