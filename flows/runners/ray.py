"""A runner on a Ray cluster, or on one that is started here for the time of the command."""

import logging
import os
from typing import Any

from flows.runners import remote
from flows.runners.job import Job, Receive, RunFailedError, RunnerLeftError, WorkerLostError
from flows.runners.place import Place
from rlhf_core.errors import ServiceError
from tasks.addresses import printable
from tasks.reasons import reason


class Ray:
    """Sends jobs to Ray, one a core."""

    def __init__(self, address: str | None, count: int | None, place: Place) -> None:
        """Connect to a cluster.

        Args:
            address: of the cluster, such as `ray://host:10001`; None starts one here.
            count: runs at the same time; None: one a core of the cluster.
            place: where runs are kept.

        Raises:
            ServiceError: the cluster does not answer.
        """
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        import ray

        where: dict[str, Any] = {"address": address or "local"}
        if address is None:  # Not even where another one runs on this machine.
            where |= {"num_cpus": count, "include_dashboard": False}
            where["_node_ip_address"] = "127.0.0.1"
        try:
            ray.init(**where, log_to_driver=False, logging_level=logging.ERROR)
        except (OSError, RuntimeError, ValueError) as error:
            raise ServiceError(
                f"runner ray: the cluster {printable(address or 'on this machine')} does not "
                f"answer ({printable(str(error))}); start it with `ray start --head`"
            ) from error
        self.count = count or max(1, int(ray.cluster_resources().get("CPU", 1)))
        self._place = place
        # A run whose worker dies is handed out again by the comparison, and counted there.
        self._play = ray.remote(num_cpus=1, max_retries=0)(remote.play)

    def play(self, job: Job, receive: Receive) -> dict[str, Any]:
        """Play a run on a worker; returns its summary. Nothing is received before the end."""
        import ray
        from ray.exceptions import (
            LocalRayletDiedError,
            NodeDiedError,
            OutOfMemoryError,
            RayError,
            RayTaskError,
            WorkerCrashedError,
        )

        lost = (WorkerCrashedError, NodeDiedError, OutOfMemoryError, LocalRayletDiedError)
        try:
            outcome = ray.get(self._play.remote(job, self._place))
        except lost as error:
            raise WorkerLostError("its Ray worker ended", job.run_id) from error
        except RayTaskError as error:
            raise RunFailedError(reason(error.cause), job.run_id) from error
        except RayError as error:
            raise RunnerLeftError(job.run_id, "the Ray cluster was left") from error
        return remote.summary_of(outcome)

    def close(self) -> None:
        """Leave the cluster, and end the one that was started here."""
        import ray

        ray.shutdown()
