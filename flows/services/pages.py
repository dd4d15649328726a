"""The MLflow and Prefect pages of a home, on loopback."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable

from flows.services import prefect_server
from flows.services.connect import check_prefect, external_prefect
from flows.services.credentials import issue_ticket
from flows.services.gateway import ENTER
from rlhf_core.errors import ServiceError
from tasks.addresses import masked
from tasks.home import Home, private
from tasks.tracking import experiments, page, views
from tasks.tracking.store import prepare, tracker_of

START_SECONDS = 120.0
ANSWER_SECONDS = 5.0


def show_pages(home: Home, port: int, announce: Callable[[str, str], None]) -> None:
    """Serve the MLflow and Prefect pages of a home on loopback until interrupted.

    Args:
        home: whose runs to show.
        port: of the MLflow page; 0 takes a free one.
        announce: called with the name and the address of each page once it answers, and with that
            of the view to begin with, where there are runs.

    Raises:
        ServiceError: a page did not start, or MLflow's ended.
    """
    os.environ["RLHF_HOME"] = str(home.path)
    # A process started in the background of a script ignores Ctrl-C unless told otherwise.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    external = external_prefect()
    if external:
        check_prefect(external)
    listening = None if tracker_of(home).remote else _listening(port)
    prefect = external or prefect_server.SERVER.request(home)
    tracker = prepare(home)
    mlflow = tracker.uri
    process = None
    try:
        if listening is not None:
            with listening:
                mlflow = f"http://127.0.0.1:{listening.getsockname()[1]}"
                process = _start_mlflow(home, tracker.uri, listening)
        if not external:
            prefect_server.SERVER.wait(home, prefect)
        start = prefect.removesuffix("/api")
        announce("Prefect", masked(start) if external else f"{start}{ENTER}{issue_ticket(home)}")
        if process is not None:
            _wait_for_mlflow(home, process, mlflow)
        announce("MLflow", f"{masked(mlflow)}/#/experiments?workflowType=machine_learning")
        newest = experiments.newest(tracker)
        if newest is not None:
            link = views.first_link(newest.experiment_id, newest.tags)
            announce("curves", f"{masked(mlflow)}{link}")
        while process is None or process.poll() is None:
            time.sleep(0.5)
        raise ServiceError(f"the MLflow page ended; see {home.folder('mlflow') / 'server.log'}")
    except KeyboardInterrupt:
        pass
    finally:
        if process is not None:
            process.terminate()
            process.communicate()


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


def _listening(port: int) -> socket.socket:
    try:
        return socket.create_server(("127.0.0.1", port))
    except OSError as error:
        raise ServiceError(
            f"--port {port} cannot be used ({error}); choose another, or 0 for a free one"
        ) from error


def _start_mlflow(home: Home, store: str, listening: socket.socket) -> "subprocess.Popen[bytes]":
    folder = home.folder("mlflow")
    addresses = {
        page.STORE: store,
        page.ARTIFACTS: (folder / "artifacts").as_uri(),
    }
    with private(folder / "server.log", "a") as log:
        return subprocess.Popen(
            [sys.executable, "-P", "-m", page.__name__, str(listening.fileno())],
            env={**os.environ, **addresses},
            stdin=subprocess.PIPE,  # Its end tells the server that this process is gone.
            stdout=log,
            stderr=log,
            pass_fds=[listening.fileno()],
            start_new_session=True,
        )
