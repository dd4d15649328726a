"""Runs of a work pool whose worker and process died together: rules of the server close them.

A process that plays a flow sends a heartbeat every `HEARTBEAT_SECONDS`. Where none has come for
`SILENCE`, and the run has not ended, the server calls the run Crashed: with the worker gone, nobody
else would. The same becomes of a run that was handed to a worker and has not begun within
`STARTING`. The MLflow run is closed by the next flow of its home, which sees that the process of
the run has let go of it.
"""

from collections.abc import Collection
from datetime import timedelta
from typing import TYPE_CHECKING

from tasks.addresses import printable

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.events.schemas.automations import AutomationCore

HEARTBEAT_SECONDS = 30
"""The least that Prefect allows; set in the environment of what a worker starts."""
SILENCE = timedelta(seconds=100)
"""Three heartbeats, and some patience with a busy machine."""
STARTING = timedelta(minutes=5)
"""How long a process may take to begin with its run."""
HEARTBEAT = "prefect.flow-run.heartbeat"
HANDED_OVER = ("Submitting", "Pending", "InfrastructurePending")
ENDED = ("Completed", "Failed", "Cancelled", "Crashed", "Paused", "Suspended", "AwaitingRetry")
"""States of Prefect by their names."""


def watch(client: "SyncPrefectClient", work_pool: str) -> None:
    """Make the rules for the runs of a work pool, or bring them up to date.

    Args:
        client: of the server.
        work_pool: whose runs.
    """
    silent = "no heartbeat: the process of the run is gone, and so is the worker that started it"
    unbegun = "it has not begun: the worker that was to start it is gone"
    pool = printable(work_pool)
    begun = {HEARTBEAT, "prefect.flow-run.Running"}
    for rule in (
        _rule(f"rlhf: silent runs of {pool}", work_pool, {HEARTBEAT}, {HEARTBEAT}, SILENCE, silent),
        _rule(
            f"rlhf: unbegun runs of {pool}",
            work_pool,
            _events(HANDED_OVER),
            begun,
            STARTING,
            unbegun,
        ),
    ):
        known = client.read_automations_by_name(rule.name)
        if known:
            client.update_automation(known[0].id, rule)
        else:
            client.create_automation(rule)


def _rule(
    name: str,
    work_pool: str,
    after: Collection[str],
    expect: Collection[str],
    within: timedelta,
    reason: str,
) -> "AutomationCore":
    """Call a run Crashed where none of the expected events follows, nor its end."""
    from prefect.client.schemas.objects import StateType
    from prefect.events.actions import ChangeFlowRunState
    from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture
    from prefect.events.schemas.events import ResourceSpecification

    return AutomationCore(
        name=name,
        description=f"After {within.total_seconds():.0f} s a run is called Crashed: {reason}. Made "
        "by rlhf schedule apply --work-pool.",
        trigger=EventTrigger(
            match=ResourceSpecification({"prefect.resource.id": "prefect.flow-run.*"}),
            match_related=ResourceSpecification(
                {"prefect.resource.role": "work-pool", "prefect.resource.name": work_pool}
            ),
            after=set(after),
            expect={*expect, *_events(ENDED)},
            for_each={"prefect.resource.id"},
            posture=Posture.Proactive,
            threshold=1,
            within=within,
        ),
        actions=[ChangeFlowRunState(state=StateType.CRASHED, name="Crashed", message=reason)],
    )


def _events(states: Collection[str]) -> set[str]:
    return {f"prefect.flow-run.{state}" for state in states}
