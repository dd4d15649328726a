"""Closing what killed processes left open."""

from uuid import UUID

from prefect import get_client
from prefect.exceptions import ObjectNotFound
from prefect.states import Crashed

from tasks import lease, tracking
from tasks.home import Home


def close_abandoned(home: Home) -> None:
    """Close runs and flow runs of this home whose process was killed before it could."""
    left_behind = lease.abandoned(home)
    if not left_behind:
        return
    with get_client(sync_client=True) as client:
        for left in left_behind:
            tracking.close_abandoned(home, left)
            identity = UUID(left.flow_run_id)
            try:
                state = client.read_flow_run(identity).state
            except ObjectNotFound:
                state = None  # It lived on another server, or the user deleted it.
            if state is not None and not state.is_final():
                message = "the process ended without closing the flow run"
                client.set_flow_run_state(identity, Crashed(message=message), force=True)
            lease.forget(home, left)
