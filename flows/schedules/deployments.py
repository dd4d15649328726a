"""Schedules as deployments of Prefect: registered, changed, removed."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from importlib import import_module
from typing import TYPE_CHECKING, Any
from uuid import UUID

from flows.experiments import presets
from flows.schedules import times, watchdog
from flows.schedules.definition import FLOWS, Schedule
from flows.services.connect import external_prefect
from rlhf_core.configuration import read
from rlhf_core.errors import ConfigurationError, ServiceError
from tasks.addresses import printable
from tasks.home import Home
from tasks.retraining.plan import Retraining

if TYPE_CHECKING:
    from prefect import Flow
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.schedules import CronSchedule, IntervalSchedule

TAG = "rlhf-schedule"
"""Begins the tag of every deployment that is made here; others are left alone."""


def tag_of(home: Home) -> str:
    """The tag of what `rlhf serve` plays in a home; a server of one's own may have several."""
    if external_prefect() is None:
        return TAG
    return f"{TAG}-{hashlib.sha256(str(home.path).encode()).hexdigest()[:8]}"


def tag_of_pool(work_pool: str) -> str:
    """The tag of what the workers of a pool play."""
    return f"{TAG}-pool-{work_pool}"


@dataclass(frozen=True)
class Registered:
    """A deployment of a schedule."""

    deployment_id: UUID
    name: str
    digest: str
    """Of what it was made from, as `digest_of` gives it."""


def registered(client: "SyncPrefectClient", tag: str) -> dict[str, Registered]:
    """The deployments with this tag, by the name of the schedule."""
    from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterTags

    tagged = DeploymentFilter(tags=DeploymentFilterTags(all_=[tag]))
    found = client.read_deployments(deployment_filter=tagged)
    return {one.name: Registered(one.id, one.name, one.version or "") for one in found}


def bring_about(
    client: "SyncPrefectClient", schedules: Sequence[Schedule], tag: str
) -> dict[str, Registered]:
    """Make the deployments of a server those of these schedules; what is equal is not touched."""
    known = registered(client, tag)
    wanted = {schedule.name: schedule for schedule in schedules}
    for name in known.keys() - wanted.keys():
        client.delete_deployment(known[name].deployment_id)
    for name, schedule in wanted.items():
        if name not in known or known[name].digest != digest_of(schedule):
            made = register(client, schedule, tag)
            old = known.get(name)
            if old is not None and old.deployment_id != made.deployment_id:
                client.delete_deployment(old.deployment_id)  # It was of another flow.
            known[name] = made
    return {name: known[name] for name in wanted}


def register(
    client: "SyncPrefectClient", schedule: Schedule, tag: str, work_pool: str | None = None
) -> Registered:
    """Make or change the deployment of a schedule.

    Args:
        client: of the server.
        schedule: what it is made of.
        tag: of the deployment.
        work_pool: whose workers play it, on other machines; None: `rlhf serve` does.
    """
    from prefect.client.schemas.actions import DeploymentScheduleCreate
    from prefect.client.schemas.objects import ConcurrencyLimitStrategy, ConcurrencyOptions

    where: dict[str, Any] = {}
    if work_pool is not None:
        where = {
            "work_pool_name": work_pool,
            "concurrency_limit": 1,
            "concurrency_options": ConcurrencyOptions(
                collision_strategy=ConcurrencyLimitStrategy.CANCEL_NEW
            ),
        }
        beat = {"PREFECT_FLOWS_HEARTBEAT_FREQUENCY": str(watchdog.HEARTBEAT_SECONDS)}
        where["job_variables"] = {"env": beat}
        if schedule.folder is not None:
            where["job_variables"]["working_dir"] = schedule.folder
    flow = flow_of(schedule)
    deployment_id = client.create_deployment(
        flow_id=client.create_flow(flow),
        name=schedule.name,
        version=digest_of(schedule),
        schedules=[DeploymentScheduleCreate(schedule=_prefect_schedule(schedule), active=True)],
        parameters=parameters_of(schedule, written_out=work_pool is not None),
        description=f"{schedule.rhythm}, overlap {schedule.overlap}.",
        tags=[tag],
        entrypoint=FLOWS[schedule.flow],
        parameter_openapi_schema=_form(flow),
        enforce_parameter_schema=True,
        paused=schedule.paused,
        **where,
    )
    return Registered(deployment_id, schedule.name, digest_of(schedule))


def check_pool(client: "SyncPrefectClient", schedules: Sequence[Schedule], work_pool: str) -> None:
    """See that a work pool can play all of the schedules, before any is registered.

    Raises:
        ConfigurationError: a schedule wants what a work pool does not offer.
        ServiceError: there is no such work pool.
    """
    from prefect.exceptions import ObjectNotFound

    for schedule in schedules:
        if schedule.overlap == "cancel":
            raise ConfigurationError(
                f"schedule {schedule.name}: overlap: expected skip, as Prefect's work pools cancel "
                "the new run alone, actual: cancel"
            )
    try:
        client.read_work_pool(work_pool)
    except ObjectNotFound as error:
        name = printable(work_pool)
        raise ServiceError(
            f"work pool '{name}' is not known to the Prefect server; make it with "
            f"`prefect work-pool create {name} --type process`"
        ) from error


def flow_of(schedule: Schedule) -> "Flow[..., Any]":
    """The flow that a schedule runs."""
    module, _, name = FLOWS[schedule.flow].rpartition(".")
    flow: Flow[..., Any] = getattr(import_module(module), name)
    return flow


def digest_of(schedule: Schedule) -> str:
    """Of all that Prefect knows of a schedule: itself, and the parameters that its flow takes."""
    content = [schedule.model_dump(mode="json"), _form(flow_of(schedule))]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def _form(flow: "Flow[..., Any]") -> dict[str, Any]:
    """The parameters of a flow as Prefect's page asks for them."""
    from prefect.utilities.callables import parameter_schema

    return parameter_schema(flow).model_dump_for_openapi()


def parameters_of(schedule: Schedule, written_out: bool = False) -> dict[str, Any]:
    """What the flow of a schedule is called with.

    Args:
        schedule: whose flow.
        written_out: put the content of an experiment's file in place of its path, for machines that
            do not have it.
    """
    experiment = schedule.experiment
    if written_out and isinstance(experiment, str) and schedule.flow != "compare":
        experiment = read(presets.find(experiment), presets.source(experiment), "'name', ...")
    more = schedule.retraining or Retraining()
    return {
        "experiment": experiment,
        "overrides": dict(schedule.set),
        "seed_policy": schedule.seed,
        **more.model_dump(mode="json", exclude_defaults=True),
    }


def _prefect_schedule(schedule: Schedule) -> "CronSchedule | IntervalSchedule":
    from prefect.client.schemas.schedules import CronSchedule, IntervalSchedule

    if schedule.cron is not None:
        return CronSchedule(cron=schedule.cron, timezone=schedule.timezone)
    assert schedule.every is not None, "checked where it was made"
    every: timedelta = times.parse_interval(schedule.every)
    # Counted in UTC: in a zone Prefect would shift its start by an hour when clocks change.
    return IntervalSchedule(
        interval=every, anchor_date=times.anchor(schedule.timezone), timezone="UTC"
    )
