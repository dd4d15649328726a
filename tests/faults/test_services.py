"""Servers that answer badly, get lost, or are left behind."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from flows.services import home_server, pages, prefect_server
from rlhf_core.errors import ServiceError
from tasks.home import Home, private
from tasks.tracking import champions
from tasks.tracking.store import Tracker
from tests.faults.broken_servers import KINDS, broken_server
from tests.flows.conftest import LONGEST_SECONDS, Command, run_ids, tiny_file, wait_until

pytestmark = [pytest.mark.faults, pytest.mark.timeout(5 * LONGEST_SECONDS)]

CAME = {"error": "the disk is full", "page": "Welcome to the portal", "drip": "no complete answer"}
COMPARED = ("labels", "env_steps", "true_return_mean", "true_return_iqm")
LONGER = {"env_steps": 4000, "labels": 20, "rounds": 5, "initial_steps": 160}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("variable", ["MLFLOW_TRACKING_URI", "PREFECT_API_URL"])
def test_a_server_whose_health_is_all_that_is_well_is_refused_in_one_line(
    rlhf: Command, variable: str, kind: str
) -> None:
    with broken_server(kind) as url:
        address = url.replace("http", "HTTP").replace("//", "//me:hunter2@")
        address += "/api" if variable == "PREFECT_API_URL" else ""
        done = rlhf("train", str(tiny_file(rlhf.folder)), **{variable: address})
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ")
    assert variable in line
    assert CAME[kind] in line
    assert "me:***@127.0.0.1" in line


def test_a_prefect_server_named_without_its_api_is_refused_in_one_line(rlhf: Command) -> None:
    with broken_server("page") as url:
        done = rlhf("train", str(tiny_file(rlhf.folder)), PREFECT_API_URL=url)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert "PREFECT_API_URL: expected a Prefect API such as http://127.0.0.1:4200/api" in line


@pytest.mark.parametrize("variable", ["MLFLOW_TRACKING_URI", "PREFECT_API_URL"])
def test_a_malformed_address_is_refused_in_one_line(rlhf: Command, variable: str) -> None:
    done = rlhf("train", str(tiny_file(rlhf.folder)), **{variable: "http://me:hunter2@[::1"})
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"error: {variable}: expected an address such as ")
    assert "actual: 'http://me:***@[::1' (Invalid IPv6 URL)" in line


def processes(module: str, marker: str) -> list[int]:
    """Processes of a module whose command line or environment holds a text."""
    found = []
    for path in Path("/proc").iterdir():
        if path.name.isdigit():
            try:
                command = (path / "cmdline").read_bytes().decode().split("\0")
                variables = (path / "environ").read_bytes().decode(errors="replace")
            except OSError:
                continue
            if module in command and (marker in command or marker in variables):
                found.append(int(path.name))
    return found


def test_a_run_goes_on_to_its_numbers_when_its_prefect_server_is_killed_twice(
    tmp_path: Path,
) -> None:
    rlhf = Command(tmp_path / "home", tmp_path)
    try:
        expected = rlhf.train("--set", f"budget={json.dumps(LONGER)}")
        file = str(tiny_file(tmp_path, budget=LONGER))
        process = rlhf.start("train", file, "--json")
        assert process.stderr is not None
        assert process.stderr.readline().startswith("started run")
        for _ in range(2):
            killed: list[int] = []

            def kill(killed: list[int] = killed) -> bool:
                killed += processes("flows.services.prefect_process", str(rlhf.home))
                return bool(killed) or process.poll() is not None

            wait_until(kill)
            for pid in killed:
                os.kill(pid, signal.SIGKILL)
            wait_until(lambda killed=killed: not any(map(lives, killed)))
        out, err = process.communicate(timeout=LONGEST_SECONDS)
        assert process.returncode == 0, err
        result = json.loads(out)
        assert {k: result[k] for k in COMPARED} == {k: expected[k] for k in COMPARED}
        assert set(run_ids(rlhf.home).values()) == {"FINISHED"}
    finally:
        rlhf.close()


def lives(pid: int) -> bool:
    """Whether a process has not ended; one that nobody has waited for has."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


@contextmanager
def started(*arguments: str, **environment: str) -> Iterator["subprocess.Popen[bytes]"]:
    """A process that is ended with the block, and its children with it."""
    process = subprocess.Popen(
        [sys.executable, *arguments],
        env={**os.environ, **environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        # MLflow's server starts another process, which would stay.
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def free_port() -> int:
    """A loopback port that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def answering(url: str) -> Callable[[], bool]:
    """Whether a server is up."""

    def ask() -> bool:
        try:
            return httpx.get(url, timeout=5).status_code == 200
        except httpx.HTTPError:
            return False

    return ask


def test_a_prefect_server_that_is_killed_while_it_starts_is_started_again(rlhf: Command) -> None:
    script = (
        "import sys\n"
        "from flows.services import prefect_server\n"
        "from tasks.home import Home\n"
        "home = Home(sys.argv[1])\n"
        "url = prefect_server.SERVER.request(home)\n"
        "prefect_server.SERVER.started[0].kill()\n"
        "prefect_server.SERVER.wait(home, url)\n"
        "again = prefect_server.SERVER.address(home)\n"
        "print(len(prefect_server.SERVER.started), url == again)\n"
        "prefect_server.SERVER.leave()\n"
    )
    done = rlhf.python("-c", script, str(rlhf.folder / "home"))
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["2", "True"]


def test_a_user_of_a_deleted_home_looks_after_its_server_no_longer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = Home(tmp_path / "home")
    monkeypatch.setattr(home_server, "LOOK_SECONDS", 0)
    with private(home.folder("prefect") / "users.lock", "a") as user:
        shutil.rmtree(home.path)
        prefect_server.SERVER.keep(home, user)
    assert not home.path.exists()


def test_the_pages_end_with_an_error_when_that_of_mlflow_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def end(home: Home, process: "subprocess.Popen[bytes]", url: str) -> None:
        process.kill()

    monkeypatch.setattr(pages, "_wait_for_mlflow", end)
    monkeypatch.setattr(pages, "external_prefect", lambda: "http://127.0.0.1:9/api")
    monkeypatch.setattr(pages, "check_prefect", lambda url: None)
    monkeypatch.setattr(signal, "signal", lambda *arguments: None)
    monkeypatch.setenv("RLHF_HOME", str(tmp_path))
    with pytest.raises(ServiceError, match=r"the MLflow page ended; see .*server\.log"):
        pages.show_pages(Home(tmp_path), 0, lambda name, address: None)


def test_with_both_servers_remote_and_prefect_lost_for_good_nothing_is_lost_or_leaked(
    rlhf: Command, tmp_path: Path
) -> None:
    """Their addresses hold passwords, and standard output holds the result alone."""
    expected = rlhf.train("--set", f"budget={json.dumps(LONGER)}")
    home = tmp_path / "home"
    command = Command(home, tmp_path)
    own, tracked = free_port(), free_port()
    database = f"sqlite:///{tmp_path}/mlflow.db"
    uvicorn = ("-m", "uvicorn", "--factory", "prefect.server.api.server:create_app")
    mlflow = ("-m", "mlflow", "server", "--workers", "1", "--backend-store-uri", database,
              "--artifacts-destination", str(tmp_path / "artifacts"))  # fmt: skip
    quiet = {"DO_NOT_TRACK": "true", "PREFECT_SERVER_ANALYTICS_ENABLED": "false"}
    with (
        started(*uvicorn, "--port", str(own), PREFECT_HOME=str(tmp_path / "prefect"), **quiet)
        as prefect,
        started(*mlflow, "--port", str(tracked), MLFLOW_SERVER_ENABLE_JOB_EXECUTION="false",
                **quiet),
    ):  # fmt: skip
        wait_until(answering(f"http://127.0.0.1:{own}/api/health"))
        wait_until(answering(f"http://127.0.0.1:{tracked}/health"))
        process = command.start(
            "train", str(tiny_file(tmp_path, budget=LONGER)), "--json",
            PREFECT_API_URL=f"http://me:hunter2secret@127.0.0.1:{own}/api",
            MLFLOW_TRACKING_URI=f"HTTP://me:hunter3secret@127.0.0.1:{tracked}",
        )  # fmt: skip
        try:
            assert process.stderr is not None
            assert process.stderr.readline().startswith("started run")
            prefect.kill()
            out, err = process.communicate(timeout=LONGEST_SECONDS)
        finally:
            command.close()
        assert process.returncode == 0, err
        result: dict[str, Any] = json.loads(out)
        # What a retraining does with the policy of a run.
        tracker = Tracker(f"http://127.0.0.1:{tracked}")
        assert champions.version_of_run(tracker, result["run_id"], "another").number == 1
    assert {k: result[k] for k in COMPARED} == {k: expected[k] for k in COMPARED}
    assert "the run is finished" in err
    for path in [*home.rglob("*"), *(tmp_path / "artifacts").rglob("*"), *tmp_path.glob("*.db*")]:
        if path.is_file():
            assert b"hunter" not in path.read_bytes(), path
    assert "hunter" not in out + err


def test_pages_leave_with_a_command_that_is_killed_and_hide_where_they_read_from(
    rlhf: Command,
) -> None:
    process = rlhf.start("ui", RLHF_TEST_MARKER=str(rlhf.folder))
    assert process.stdout is not None
    lines = [process.stdout.readline().split() for _ in range(2)]
    addresses = dict(lines)
    assert set(addresses) == {"Prefect", "MLflow"}
    with httpx.Client() as browser:
        assert browser.get(addresses["Prefect"]).status_code == 200
        page = addresses["Prefect"].partition("/enter/")[0]
        assert browser.post(f"{page}/api/flows/count", json={}).status_code == 200
    (server,) = processes("tasks.tracking.page", str(rlhf.folder))
    assert b"sqlite" not in Path(f"/proc/{server}/cmdline").read_bytes()
    process.kill()
    wait_until(lambda: not lives(server))
    base = addresses["MLflow"].partition("/#")[0]
    assert not answering(f"{base}/health")()


def test_a_page_on_a_port_that_is_taken_is_refused(rlhf: Command) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = rlhf("ui", "--port", str(port))
    assert done.returncode == 2
    assert f"--port {port} cannot be used" in done.stderr
