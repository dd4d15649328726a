"""One Prefect server a home, shared by all that need it, gone when nobody does.

Prefect's own temporary server belongs to one process: two trainings would run two servers on one
SQLite file, and a killed training would leave its server behind. Here every user holds a shared
lock for as long as it lives; the server leaves when nobody has held it for a while.

Two locks, each freed by the end of its owner, however it ends:

    users.lock      shared by every process that uses the server
    serving.lock    held by the server; beside it `server.json` says where the server listens
"""

import fcntl
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Protocol

from rlhf_core.errors import ServiceError
from tasks.home import Home, try_lock

START_SECONDS = 120.0
"""A first start migrates the database; on a busy machine that takes a while."""
GRACE_SECONDS = 5.0
"""How long the server waits for another user after the last one left."""

_users: list[IO[str]] = []
_started: list["subprocess.Popen[bytes]"] = []


def environment(home: Home) -> dict[str, str]:
    """Settings of Prefect's server and clients in this home."""
    return {
        "PREFECT_HOME": str(home.folder("prefect")),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_UI_API_URL": "/api",
        "DO_NOT_TRACK": "true",
    }


def request(home: Home) -> str:
    """Be a user of the home's server until this process ends, and start it if need be.

    Returns its API address as soon as there is one; `wait` says when it answers.
    """
    folder = home.folder("prefect")
    handle = (folder / "users.lock").open("a")
    fcntl.flock(handle, fcntl.LOCK_SH)
    _users.append(handle)
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        with home.locked("prefect-server"):
            if not _is_served(folder):
                _spawn(home, folder)
            if (folder / "server.json").exists():
                return str(json.loads((folder / "server.json").read_text())["url"])
        time.sleep(0.1)  # It was just leaving when we came; its successor is ours to start.
    raise ServiceError(f"the embedded Prefect server does not leave; see {folder / 'server.log'}")


def leave() -> None:
    """Be a user no longer, and see the servers that this process started out.

    The end of the process does the same without waiting.
    """
    while _users:
        _users.pop().close()
    while _started:
        _started.pop().wait()


def wait(home: Home, url: str) -> None:
    """Return when the server answers.

    Raises:
        ServiceError: it did not start; the message names its log.
    """
    import httpx

    folder = home.folder("prefect")
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and _is_served(folder):
        try:
            if httpx.get(f"{url}/health", timeout=5).status_code == 200:
                return
        except httpx.HTTPError:
            time.sleep(0.1)
    raise ServiceError(f"the embedded Prefect server did not start; see {folder / 'server.log'}")


def _is_served(folder: Path) -> bool:
    """Whether a server lives, starting up or ready."""
    with (folder / "serving.lock").open("a") as handle:
        return not try_lock(handle)


def _spawn(home: Home, folder: Path) -> None:
    """Start a server that inherits our lock and our socket: it is there before it is running.

    Killed at any moment, this leaves either no lock or a server that answers where it is said to.
    """
    with (
        (folder / "serving.lock").open("a") as serving,
        (folder / "server.log").open("ab") as log,
        socket.create_server(("127.0.0.1", 0)) as listening,
    ):
        fcntl.flock(serving, fcntl.LOCK_EX)
        port = listening.getsockname()[1]
        draft = folder / "server.json.new"
        draft.write_text(json.dumps({"url": f"http://127.0.0.1:{port}/api"}))
        draft.replace(folder / "server.json")
        process = subprocess.Popen(
            [sys.executable, "-m", "flows.services.prefect_server", str(home.path),
             str(listening.fileno())],
            # A `flows` in the working folder is not ours.
            env={**os.environ, **environment(home), "PYTHONSAFEPATH": "1"},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=[serving.fileno(), listening.fileno()],
            start_new_session=True,
        )  # fmt: skip
    _started.append(process)  # It outlives us; Python would complain if it were dropped.


class _Stoppable(Protocol):
    should_exit: bool


def serve(home: Home, listening: socket.socket) -> None:
    """Run the server in this process until nobody uses it."""
    import uvicorn
    from prefect.server.api.server import create_app

    # Uvicorn closes connections that are still open when it has to leave, and does not wait.
    config = uvicorn.Config(create_app(), log_level="warning", timeout_graceful_shutdown=5)
    server = uvicorn.Server(config)
    threading.Thread(target=_leave_when_unused, args=(home, server), daemon=True).start()
    server.run(sockets=[listening])


@contextmanager
def _unused(home: Home) -> Iterator[bool]:
    """Whether nobody uses the server; inside the block nobody can begin to start another."""
    with (
        home.locked("prefect-server"),
        (home.folder("prefect") / "users.lock").open("a") as handle,
    ):
        yield try_lock(handle)


def _leave_when_unused(home: Home, server: _Stoppable) -> None:
    since: float | None = None
    while True:
        time.sleep(0.5)
        with _unused(home) as unused:
            since = (since or time.monotonic()) if unused else None
            if since is not None and time.monotonic() - since >= GRACE_SECONDS:
                (home.folder("prefect") / "server.json").unlink(missing_ok=True)
                server.should_exit = True
                return


if __name__ == "__main__":
    serve(Home(sys.argv[1]), socket.socket(fileno=int(sys.argv[2])))
