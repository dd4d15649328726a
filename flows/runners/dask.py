"""A runner on a Dask cluster, or on one that is started here for the time of the command."""

from typing import Any

from flows.runners import remote
from flows.runners.job import Job, Receive, RunFailedError, RunnerLeftError, WorkerLostError
from flows.runners.place import Place
from rlhf_core.errors import ServiceError
from tasks.addresses import printable
from tasks.reasons import reason

CONNECT_SECONDS = 10


class Dask:
    """Sends jobs to the workers of a Dask scheduler."""

    def __init__(self, address: str | None, count: int | None, place: Place) -> None:
        """Connect to a cluster.

        Args:
            address: of the scheduler, such as `tcp://host:8786`; None starts workers here.
            count: runs at the same time; None: as many as the workers have threads.
            place: where runs are kept.

        Raises:
            ServiceError: the scheduler does not answer, or has no workers.
        """
        import dask
        from distributed import Client, LocalCluster

        self._place = place
        self._cluster: LocalCluster | None = None
        if address is None:
            # A run whose worker dies is handed out again by the comparison, and counted there.
            with dask.config.set({"distributed.scheduler.allowed-failures": 0}):
                self._cluster = LocalCluster(
                    n_workers=count, threads_per_worker=1, processes=True, host="127.0.0.1",
                    dashboard_address=None, memory_limit=0, silence_logs=50,
                )  # fmt: skip
        try:
            self._client = Client(self._cluster or address, timeout=CONNECT_SECONDS)
        except (OSError, TimeoutError, ValueError) as error:
            if self._cluster is not None:
                self._cluster.close()
            raise ServiceError(
                f"runner dask: the scheduler {printable(address or '')} does not answer "
                f"({printable(str(error))}); start it with `dask scheduler`"
            ) from error
        threads = sum(self._client.nthreads().values())
        if not threads:
            self.close()
            raise ServiceError(
                f"runner dask: the scheduler {printable(address or '')} has no workers; start one "
                f"with `dask worker {printable(address or '')} --nthreads 1`"
            )
        self.count = count or threads

    def play(self, job: Job, receive: Receive) -> dict[str, Any]:
        """Play a run on a worker; returns its summary. Nothing is received before the end."""
        from concurrent.futures import CancelledError

        from distributed import KilledWorker

        try:
            outcome = self._client.submit(remote.play, job, self._place, pure=False).result()
        except KilledWorker as error:
            raise WorkerLostError("its Dask worker ended", job.run_id) from error
        except (CancelledError, OSError) as error:
            raise RunnerLeftError(job.run_id, "the Dask cluster was left") from error
        except (ImportError, RuntimeError, TypeError) as error:
            # Such as a worker that this package is not installed for.
            raise RunFailedError(reason(error), job.run_id) from error
        return remote.summary_of(outcome)

    def close(self) -> None:
        """Leave the cluster, and end the one that was started here."""
        self._client.close()
        if self._cluster is not None:
            self._cluster.close()
