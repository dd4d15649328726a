"""The folder mlflow/: entry points for `mlflow run`, and a tracking server of one's own."""

import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
import yaml

from tests.docs.test_docs import ROOT
from tests.flows.conftest import LONGEST_SECONDS, wait_until

HOME = ROOT / "mlflow"

pytestmark = pytest.mark.timeout(3 * LONGEST_SECONDS)


def with_program(folder: Path, name: str, script: str) -> dict[str, str]:
    """The environment in which a program of that name is the script."""
    program = folder / name
    program.write_text(f"#!/usr/bin/env bash\n{script}\n")
    program.chmod(0o755)
    return {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"}


def test_parameters_of_mlflow_run_become_fields_of_the_experiment(tmp_path: Path) -> None:
    project = yaml.safe_load((HOME / "MLproject").read_text())
    command = project["entry_points"]["train"]["command"].format(preset="pendulum-preference")
    # So does `mlflow run` hand over parameters that the project does not declare.
    further = "--budget.labels 50 --feedback.shares '{comparison: 1, rating: 2}'"
    environment = with_program(tmp_path, "rlhf", r'pwd; printf "[%s]" "$@"')
    done = subprocess.run(
        ["bash", "-c", f"{command} {further}"],
        cwd=HOME, env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout == (
        f"{ROOT}\n[train][pendulum-preference][--set][budget.labels=50]"
        "[--set][feedback.shares={comparison: 1, rating: 2}]"
    )
    plain = project["entry_points"]["compare"]["command"].format(file="/some/file.yaml")
    done = subprocess.run(
        ["bash", "-c", plain],
        cwd=HOME, env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout == f"{ROOT}\n[compare][/some/file.yaml]"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--host", "0.0.0.0"), "expected --protected-by basic-auth or proxy"),
        (("--host", "0.0.0.0", "--protected-by", "hope"), "actual: 'hope'"),
        (
            ("--host", "0.0.0.0", "--protected-by", "basic-auth"),
            "MLFLOW_AUTH_CONFIG_PATH: expected a file with an admin password of yours",
        ),
        (("--port", "x"), "--port: expected a number from 1 to 65535, actual: 'x'"),
        (("--port", "99999"), "--port: expected a number from 1 to 65535"),
        (("--folder",), "--folder: expected a value, actual: none"),
        (("--hots", "a"), "unknown argument '--hots'"),
    ],
)
def test_a_server_that_others_reach_is_refused_unless_something_protects_it(
    arguments: tuple[str, ...], told: str, tmp_path: Path
) -> None:
    environment = with_program(tmp_path, "mlflow", "echo started")
    environment.pop("MLFLOW_AUTH_CONFIG_PATH", None)
    done = subprocess.run(
        [HOME / "serve.sh", *arguments],
        cwd=tmp_path, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert told in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert done.stdout == ""
    assert not (tmp_path / "tracking").exists()


def test_the_server_prints_its_address_once_it_answers_and_ends_with_the_script(
    tmp_path: Path,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        refused = subprocess.run(
            [HOME / "serve.sh", "--port", str(port)],
            cwd=tmp_path, capture_output=True, text=True, check=False,
            env=with_program(tmp_path, "mlflow", "echo started"),
        )  # fmt: skip
        assert refused.stderr == (
            f"error: --port {port}: something listens there already; choose another\n"
        )
    environment = with_program(tmp_path, "mlflow", f'exec {sys.executable} -m mlflow "$@"')
    process = subprocess.Popen(
        [HOME / "serve.sh", "--folder", "runs", "--port", str(port)],
        cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.fullmatch(r"export MLFLOW_TRACKING_URI=(http://127\.0\.0\.1:\d+)\n", line)
        assert found is not None, line
        assert httpx.get(f"{found[1]}/health").text == "OK"
        assert (tmp_path / "runs" / "mlflow.db").exists()
        process.send_signal(signal.SIGTERM)
        assert process.wait(LONGEST_SECONDS) == 0
        wait_until(lambda: _refuses(found[1]))
    finally:
        process.kill()
        process.communicate()


def _refuses(url: str) -> bool:
    try:
        httpx.get(f"{url}/health")
    except httpx.TransportError:
        return True
    return False
