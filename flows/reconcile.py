"""Closing what killed processes left open."""

from uuid import UUID

from prefect import get_client
from prefect.exceptions import ObjectNotFound
from prefect.states import Crashed

from tasks import tracking
from tasks.home import Home


def close_abandoned(home: Home) -> None:
    """Close runs and flow runs of this home whose process was killed before it could."""
    flow_run_ids = tracking.reconcile(home)
    if not flow_run_ids:
        return
    with get_client(sync_client=True) as client:
        for identity in map(UUID, flow_run_ids):
            try:
                state = client.read_flow_run(identity).state
            except ObjectNotFound:
                continue  # It lived on another server, or the user deleted it.
            if state is None or not state.is_final():
                message = "the process ended without closing the flow run"
                client.set_flow_run_state(identity, Crashed(message=message), force=True)
