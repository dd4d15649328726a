"""Runs that were going on when the process that served them was ended: they go on."""

from collections.abc import Callable, Collection
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from flows.schedules import deployments
from tasks.home import Home
from tasks.runs import lifecycle

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.objects import State

MOST_ATTEMPTS = 5
"""A run that was interrupted as often is closed: it may be what ends the machine."""


def take_up(
    home: Home, client: "SyncPrefectClient", names: Collection[str], say: Callable[[str], None]
) -> None:
    """Let runs that nobody plays any more go on; close those that cannot.

    Args:
        home: whose runs they are; nobody serves it.
        client: of its Prefect server.
        names: schedules that there are.
        say: told what becomes of each.
    """
    from prefect.client.schemas.filters import (
        DeploymentFilter,
        DeploymentFilterTags,
        FlowRunFilter,
        FlowRunFilterState,
        FlowRunFilterStateType,
    )
    from prefect.client.schemas.objects import StateType
    from prefect.states import AwaitingRetry, Cancelled, Crashed

    tag = deployments.tag_of(home)
    known = {one.deployment_id: name for name, one in deployments.registered(client, tag).items()}
    going_on = [StateType.RUNNING, StateType.PENDING, StateType.CANCELLING]
    open_runs = client.read_flow_runs(
        deployment_filter=DeploymentFilter(tags=DeploymentFilterTags(all_=[tag])),
        flow_run_filter=FlowRunFilter(
            state=FlowRunFilterState(type=FlowRunFilterStateType(any_=going_on))
        ),
    )
    lifecycle.close_abandoned(home)
    for run in open_runs:
        name = known.get(run.deployment_id, "") if run.deployment_id else ""
        state = client.read_flow_run(run.id).state
        if state is not None and state.is_completed():
            say(f"{name}: the interrupted run was finished")
            continue
        new: State[Any]
        message = f"{name}: the interrupted run goes on"
        if run.state is not None and run.state.is_cancelling():
            new, message = Cancelled(message="cancelled"), f"{name}: the cancelled run has ended"
        elif name not in names:
            new, message = Crashed(message="its schedule was removed"), f"{name}: was removed"
        elif run.run_count >= MOST_ATTEMPTS:
            new = Crashed(message=f"interrupted {run.run_count} times")
            message = f"{name}: interrupted {run.run_count} times; the run is closed"
        else:
            reason = "the process that served it was ended; it goes on"
            new = AwaitingRetry(scheduled_time=datetime.now(UTC), message=reason)
        client.set_flow_run_state(run.id, new, force=True)
        say(message)
