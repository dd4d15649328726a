"""The pins hold: a scheduled flow run really fires on the embedded server.

A later SQLAlchemy or FastAPI stops Prefect's scheduler without a word.
"""

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from flows.services import prefect_server
from tasks.home import Home
from tests.flows.conftest import LONGEST_SECONDS, wait_until

# No speed is expected of the machine: the limits end a wait for what never happens.
pytestmark = pytest.mark.timeout(3 * LONGEST_SECONDS)

FLOW = """
import os
from pathlib import Path
from prefect import flow

@flow
def beat():
    with open(os.environ["BEATS"], "a") as file:
        file.write("beat\\n")

if __name__ == "__main__":
    beat.serve(name="every-few-seconds", interval=3, limit=1)
"""


def test_a_scheduled_flow_fires_more_than_once(shared_home: Path, tmp_path: Path) -> None:
    home = Home(shared_home)
    url = prefect_server.SERVER.request(home)
    (tmp_path / "scheduled.py").write_text(FLOW)
    beats = tmp_path / "beats"
    process = subprocess.Popen(
        [sys.executable, "scheduled.py"],
        env={
            **os.environ,
            **prefect_server.environment(home),
            "PREFECT_API_URL": url,
            "PREFECT_RUNNER_POLL_FREQUENCY": "1",
            "BEATS": str(beats),
        },
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        wait_until(lambda: beats.exists() and len(beats.read_text().split()) >= 2)
        process.send_signal(signal.SIGINT)
        process.wait(LONGEST_SECONDS)
    finally:
        # The runner starts a process for each flow run; all belong to its group.
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
