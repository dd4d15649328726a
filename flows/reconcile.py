"""Closing what killed processes left open."""

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
        for flow_run_id in flow_run_ids:
            state = Crashed(message="the process ended without closing the flow run")
            try:
                if not client.read_flow_run(flow_run_id).state.is_final():
                    client.set_flow_run_state(flow_run_id, state, force=True)
            except ObjectNotFound:
                continue  # It lived on another server, or the user deleted it.
