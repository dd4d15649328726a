"""Closing what killed processes left open."""

from uuid import UUID

from prefect import get_client
from prefect.exceptions import ObjectNotFound
from prefect.states import Crashed

from tasks.home import Home
from tasks.runs import lease
from tasks.tracking import store as tracking


def close_abandoned(home: Home) -> None:
    """Close runs and flow runs of this home whose process was killed before it could."""

    def close(left: lease.Abandoned) -> None:
        if not left.taken_up:
            tracking.close_abandoned(home, left)
        _close_flow_run(UUID(left.flow_run_id))

    lease.close_abandoned(home, close)


def _close_flow_run(flow_run_id: UUID) -> None:
    with get_client(sync_client=True) as client:
        try:
            state = client.read_flow_run(flow_run_id).state
        except ObjectNotFound:
            return  # The user deleted it.
        if state is None or not state.is_final():
            message = "the process ended without closing the flow run"
            client.set_flow_run_state(flow_run_id, Crashed(message=message), force=True)
