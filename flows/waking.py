"""Resume flow runs that were suspended until people had answered."""

from collections.abc import Callable
from typing import TYPE_CHECKING
from uuid import UUID

from tasks.home import Home
from tasks.people import has_labels, labels_of, wait_of
from tasks.runs.states import State
from tasks.tracking import records
from tasks.tracking.store import tracker_of
from tasks.tracking.tags import FLOW_TAG

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.objects import FlowRun


class Waker:
    """Looks which waiting runs can go on; `look` now and then."""

    def __init__(self, home: Home, say: Callable[[str], None]) -> None:
        """Nobody is waited for yet.

        Args:
            home: whose label store is looked at, and whose tracking store has the runs.
            say: told of each run that is resumed.
        """
        self._home, self._say = home, say

    def look(self, client: "SyncPrefectClient") -> int:
        """Resume what can go on; returns how many open campaigns there are."""
        if not has_labels(self._home):
            return 0
        with labels_of(self._home) as labels:
            campaigns = labels.campaigns()
            waits = [(one, wait_of(labels, one)) for one in campaigns]
        for campaign, wait in waits:
            if wait is None or not wait.over:
                continue
            record = records.read(tracker_of(self._home), campaign.key)
            if record is None or State.of(record.status) is not State.WAITING:
                continue
            if self._resume(client, UUID(record.tags[FLOW_TAG])):
                self._say(f"run {campaign.key}: round {wait.round + 1} is answered; it goes on")
        return sum(campaign.status != "closed" for campaign in campaigns)

    def _resume(self, client: "SyncPrefectClient", flow_run_id: UUID) -> bool:
        """Resume a flow run, unless it is not suspended here; returns whether it was."""
        from prefect.exceptions import ObjectNotFound

        try:
            flow_run = client.read_flow_run(flow_run_id)
        except ObjectNotFound:
            return False  # Of another server, or deleted.
        state = flow_run.state
        if state is None or not state.is_paused() or self._another_runs(client, flow_run):
            return False
        client.resume_flow_run(flow_run_id)
        return True

    @staticmethod
    def _another_runs(client: "SyncPrefectClient", flow_run: "FlowRun") -> bool:
        """Whether the deployment's only place is taken: who resumes then would be cancelled."""
        from prefect.client.schemas.filters import (
            DeploymentFilter,
            DeploymentFilterId,
            FlowRunFilter,
            FlowRunFilterState,
            FlowRunFilterStateType,
        )
        from prefect.client.schemas.objects import StateType

        if flow_run.deployment_id is None:
            return False
        active = FlowRunFilterStateType(any_=[StateType.RUNNING, StateType.PENDING])
        running = client.read_flow_runs(
            flow_run_filter=FlowRunFilter(state=FlowRunFilterState(type=active)),
            deployment_filter=DeploymentFilter(
                id=DeploymentFilterId(any_=[flow_run.deployment_id])
            ),
            limit=1,
        )
        return bool(running)
