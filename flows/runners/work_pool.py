"""A runner on the workers of a Prefect work pool, each on a machine of its own."""

import threading
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import UUID, uuid4

import httpx
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.exceptions import ObjectNotFound, PrefectHTTPStatusError

from flows.runners.job import Job, Receive, RunFailedError, RunnerLeftError, WorkerLostError
from flows.runners.place import Place
from flows.runners.playing import played
from flows.schedules import watchdog
from flows.services.ready import ready
from rlhf_core.errors import ConfigurationError, ServiceError
from tasks.addresses import printable
from tasks.home import Home
from tasks.runs import lifecycle, outcome
from tasks.tracking.store import tracker_of

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient

NAME = "rlhf-run"
"""Of the flow that a worker plays, and of its deployment in each pool."""
ENTRYPOINT = "flows.runners.work_pool.play_run"
LOOK_SECONDS = 1.0
AGAIN_SECONDS = 3.0
PATIENCE_SECONDS = 900.0
"""How long a lost server, or its database, is waited for."""
Answer = TypeVar("Answer")


@flow(name=NAME, persist_result=False)
def play_run(job: dict[str, Any], place: dict[str, Any]) -> None:
    """Play one run of a comparison; its summary stands in the shared store.

    Args:
        job: the run, as `flows.runners.Job` has it.
        place: where runs are kept.

    Raises:
        RunFailedError: it failed.
    """
    home = Place(**place).opened()
    _patiently(lambda: ready(home), threading.Event())
    played(home, Job(**job), lambda event: None)


def _patiently(ask: Callable[[], Answer], left: threading.Event) -> Answer:
    """Ask a server, and ask again while it or its database is lost.

    Args:
        ask: what is asked.
        left: set once nobody waits any more.

    Raises:
        RunnerLeftError: nobody waits any more, or the server is lost for too long.
    """
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            return ask()
        except (httpx.TransportError, PrefectHTTPStatusError, ServiceError) as error:
            if isinstance(error, PrefectHTTPStatusError) and error.response.status_code < 500:
                raise
            if time.monotonic() > deadline:
                what = printable(str(error)) or type(error).__name__
                raise RunnerLeftError(None, f"a server is lost: {what}") from error
        if left.wait(AGAIN_SECONDS):
            raise RunnerLeftError


class WorkPool:
    """Hands jobs to a work pool, as flow runs of a deployment that it makes there."""

    def __init__(self, pool: str, count: int | None, home: Home, place: Place) -> None:
        """Make the deployment.

        Args:
            pool: its name.
            count: runs at the same time; None: one a worker that is online.
            home: of the command.
            place: where runs are kept.

        Raises:
            ConfigurationError: there is no Prefect server of one's own.
            ServiceError: the server has no such pool.
        """
        from flows.services.connect import external_prefect

        if external_prefect() is None:
            raise ConfigurationError(
                "PREFECT_API_URL: expected a Prefect server of your own, whose work pool plays "
                "the runs, actual: none"
            )
        self._home, self._place, self._left = home, place, threading.Event()
        with get_client(sync_client=True) as client:
            try:
                client.read_work_pool(pool)
            except ObjectNotFound as error:
                name = printable(pool)
                raise ServiceError(
                    f"work pool '{name}' is not known to the Prefect server; make it with "
                    f"`prefect work-pool create {name} --type process`"
                ) from error
            self._deployment = _deployment(client, pool)
            self.count = count or max(1, _online(client, pool))

    def play(self, job: Job, receive: Receive) -> dict[str, Any]:
        """Play a run on a worker; returns its summary. Nothing is received before the end."""
        parameters = {"job": asdict(job), "place": asdict(self._place)}
        name, key = f"{job.cell}-s{job.experiment.get('seed', 0)}", str(uuid4())
        with get_client(sync_client=True) as client:
            flow_run = _patiently(
                lambda: client.create_flow_run_from_deployment(
                    self._deployment, parameters=parameters, name=name, idempotency_key=key
                ),
                self._left,
            )
            while True:
                state = _patiently(lambda: client.read_flow_run(flow_run.id), self._left).state
                if state is not None and state.is_final():
                    break
                if self._left.wait(LOOK_SECONDS):
                    _cancel(client, flow_run.id)
                    raise RunnerLeftError(job.run_id)
        run_id = self._run_of(job)
        if state.is_completed() and run_id is not None:
            ended = outcome.look_up(self._home, tracker_of(self._home), run_id)
            if ended is not None:
                return dict(ended.summary)
        text = printable(state.message or state.name or "")
        if state.is_crashed():
            raise WorkerLostError(f"its worker is gone: {text}", run_id)
        raise RunFailedError(text, run_id)

    def _run_of(self, job: Job) -> str | None:
        return job.run_id or lifecycle.find(tracker_of(self._home), job.owner)

    def close(self) -> None:
        """Cancel what still plays."""
        self._left.set()


def _deployment(client: "SyncPrefectClient", pool: str) -> UUID:
    """Make the deployment of a pool, or bring it up to date."""
    watchdog.watch(client, pool)
    beat = {"PREFECT_FLOWS_HEARTBEAT_FREQUENCY": str(watchdog.HEARTBEAT_SECONDS)}
    return client.create_deployment(
        flow_id=client.create_flow(play_run),
        name=pool,
        work_pool_name=pool,
        entrypoint=ENTRYPOINT,
        description="Runs of comparisons and sweeps; made by --runner work-pool.",
        job_variables={"env": {**beat, "OMP_NUM_THREADS": "1"}},
    )


def _online(client: "SyncPrefectClient", pool: str) -> int:
    """How many workers of a pool are there."""
    workers = client.request(
        "POST", "/work_pools/{work_pool_name}/workers/filter",
        path_params={"work_pool_name": pool}, json={},
    ).json()  # fmt: skip
    return sum(worker["status"] == "ONLINE" for worker in workers)


def _cancel(client: "SyncPrefectClient", flow_run_id: UUID) -> None:
    from prefect.states import Cancelling

    client.set_flow_run_state(flow_run_id, Cancelling(message="the command was ended"))
