"""A served process ends when it is told to, and says what is wrong before it begins."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.labelling.server.campaigns import publish, store_in
from tests.labelling.server.processes import ROOT, free_port, kill, start


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_server_ends_in_order_and_its_sessions_go_on(
    tmp_path: Path, number: signal.Signals
) -> None:
    store = store_in(tmp_path)
    campaign = publish(store, tmp_path, {"comparison": 2})
    token, port = store.invite(campaign.id, "x", 1)[1], free_port()
    process = start(tmp_path, port)
    with httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
        joined = client.post("/api/join", json={"token": token, "name": "Ada"}).json()
        process.send_signal(number)
        process.wait(timeout=30)
        process = start(tmp_path, port)
        try:
            session = client.get("/api/session").json()
        finally:
            kill(process)
    assert session["csrf"] == joined["csrf"]
    assert session["annotator"] == joined["annotator"]
    store.close()


def test_beyond_this_machine_it_does_not_start_without_a_secret(tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "from rlhf_core.errors import ConfigurationError\n"
        "from rlhf_core.labelling.server import EnvironmentClips, ServerSettings, serve\n"
        "from rlhf_core.labelling.store import open_store\n"
        f"store = open_store('sqlite:///{tmp_path}/labels.db')\n"
        "try:\n"
        "    settings = ServerSettings(host='0.0.0.0', port=0)\n"
        "    serve(store, EnvironmentClips(), settings, lambda address: print('it listens'))\n"
        "except ConfigurationError as error:\n"
        "    sys.exit(str(error))\n"
    )
    environment = {k: v for k, v in os.environ.items() if k != "RLHF_LABEL_SECRET"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**environment, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1
    assert done.stdout == ""
    assert "secret: expected at least 16 characters" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
