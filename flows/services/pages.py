"""The MLflow and Prefect pages of a home, on loopback."""

import os
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable

from flows.services import prefect_server
from flows.services.connect import ANSWER_SECONDS, check_prefect
from rlhf_core.errors import ServiceError
from tasks.home import Home
from tasks.tracking.store import prepare, tracker_of

START_SECONDS = 120.0


def show_pages(home: Home, port: int, announce: Callable[[str, str], None]) -> None:
    """Serve the MLflow and Prefect pages of a home on loopback until interrupted.

    Args:
        home: whose runs to show.
        port: of the MLflow page; 0 takes a free one.
        announce: told the name and the address of each page once it answers.
    """
    os.environ["RLHF_HOME"] = str(home.path)
    # A process started in the background of a script ignores Ctrl-C unless told otherwise.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    external = os.environ.get("PREFECT_API_URL")
    if external:
        check_prefect(external)
    prefect = external or prefect_server.request(home)
    prepare(home)
    mlflow = os.environ.get("MLFLOW_TRACKING_URI", "")
    process = None
    try:
        if not mlflow.startswith("http"):
            port = _usable(port) if port else free_port()
            mlflow = f"http://127.0.0.1:{port}"
            process = _start_mlflow(home, port)
        if not external:
            prefect_server.wait(home, prefect)
        announce("Prefect", prefect.removesuffix("/api"))
        if process is not None:
            _wait_for_mlflow(home, process, mlflow)
        announce("MLflow", f"{mlflow}/#/experiments?workflowType=machine_learning")
        while process is None or process.poll() is None:
            time.sleep(0.5)
    except KeyboardInterrupt:
        pass
    finally:
        if process is not None and process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait()


def _wait_for_mlflow(home: Home, process: "subprocess.Popen[bytes]", url: str) -> None:
    import httpx

    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        try:
            if httpx.get(f"{url}/health", timeout=ANSWER_SECONDS).status_code == 200:
                return
        except httpx.HTTPError:
            time.sleep(0.2)
    raise ServiceError(
        f"the MLflow page did not start at {url}; see {home.folder('mlflow') / 'server.log'}"
    )


def _usable(port: int) -> int:
    try:
        with socket.create_server(("127.0.0.1", port)):
            return port
    except OSError as error:
        raise ServiceError(
            f"--port {port} cannot be used ({error}); choose another, or 0 for a free one"
        ) from error


def free_port() -> int:
    """A loopback port that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def _start_mlflow(home: Home, port: int) -> "subprocess.Popen[bytes]":
    store = tracker_of(home).uri
    arguments = ["--backend-store-uri", store, "--host", "127.0.0.1", "--port", str(port)]
    folder = home.folder("mlflow")
    artifacts = (folder / "artifacts").as_uri()
    # Uvicorn would put the working folder first on the import path.
    uvicorn = shlex.join(["--app-dir", str(folder)])
    with (folder / "server.log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "mlflow", "server", *arguments, "--workers", "1",
             "--default-artifact-root", artifacts, "--uvicorn-opts", uvicorn],
            # Background jobs and four workers would take 3 GiB; one reader needs neither.
            env={
                **os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "PYTHONSAFEPATH": "1",
            },
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
