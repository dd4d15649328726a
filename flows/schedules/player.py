"""The process that plays one flow run of a schedule.

Its standard input is a pipe that the process that serves holds. When that ends, however it does,
this one ends at once, and the next that serves goes on with the run.
"""

import os
import sys
import threading
from uuid import UUID


def play(flow_run_id: UUID, flow_name: str) -> None:
    """Play a flow run to its end.

    Args:
        flow_run_id: of Prefect.
        flow_name: one of `flows.schedules.definition.FLOWS`.
    """
    threading.Thread(target=_end_with_parent, name="parent", daemon=True).start()
    from flows.modules import find_modules_here
    from flows.services.connect import connect
    from tasks.home import Home

    find_modules_here()
    connect(Home())
    from importlib import import_module

    from prefect.engine import handle_engine_signals
    from prefect.flow_engine import load_flow_run, run_flow

    from flows.schedules.definition import FLOWS

    module, _, name = FLOWS[flow_name].rpartition(".")
    flow = getattr(import_module(module), name)
    with handle_engine_signals(flow_run_id):
        run_flow(flow, flow_run=load_flow_run(flow_run_id))


def _end_with_parent() -> None:
    # Not `sys.stdin`: Python would wait for its lock when it ends.
    while os.read(0, 64):
        pass
    os._exit(1)


if __name__ == "__main__":
    from flows.command.ending import leave_soon

    try:
        play(UUID(sys.argv[1]), sys.argv[2])
    except BaseException:
        leave_soon(1)
        raise
    leave_soon(0)
