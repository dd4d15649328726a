"""The flow run of Prefect that a flow is being played as: its name, its time, its deployment."""

from datetime import UTC, datetime
from uuid import UUID

from prefect import get_client, runtime

from tasks.tracking.tags import SCHEDULE_TAG, SEED_POLICY_TAG


def scheduled_time() -> datetime:
    """When the flow run was scheduled to start; a retry has the time of its first attempt."""
    time: datetime = runtime.flow_run.scheduled_start_time
    return time.astimezone(UTC)


def rename(name: str) -> None:
    """Call the flow run by what it plays, which is known once its parameters are resolved."""
    with get_client(sync_client=True) as client:
        client.set_flow_run_name(UUID(str(runtime.flow_run.id)), name)


def scheduled_tags(seed_policy: str) -> dict[str, str]:
    """What a run tells of how it was started: where its seed is from, and its schedule."""
    tags = {SEED_POLICY_TAG: seed_policy}
    schedule = schedule_name()
    if schedule is not None:
        tags[SCHEDULE_TAG] = schedule
    return tags


def schedule_name() -> str | None:
    """The deployment by which the flow run was started; None where a person did it."""
    # Asked for its name, a flow run without a deployment would ask the server first.
    return None if runtime.deployment.id is None else str(runtime.deployment.name)
