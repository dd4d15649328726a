"""One Prefect server a home, shared by all that need it, gone when nobody does.

Prefect's own temporary server belongs to one process: two trainings would run two servers on one
SQLite file, and a killed training would leave its server behind. Here every user holds a shared
lock for as long as it lives; the server takes its leave when nobody has held it for a while.
"""

import fcntl
import json
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import IO

from rlhf_core.errors import ServiceError
from tasks.home import Home

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

    Returns its API address at once; `wait` says when it answers.
    """
    folder = home.folder("prefect")
    with home.locked("prefect-server"):
        handle = (folder / "users.lock").open("a")
        fcntl.flock(handle, fcntl.LOCK_SH)
        _users.append(handle)
        url = _running(folder)
        if url is None:
            url = _spawn(home, folder)
    return url


def wait(home: Home, url: str) -> None:
    """Return when the server answers. Raises `ServiceError` with its log's place if it does not."""
    import httpx

    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        try:
            if httpx.get(f"{url}/health", timeout=5).status_code == 200:
                return
        except httpx.HTTPError:
            pass
        if _running(home.folder("prefect")) is None:
            break
        time.sleep(0.1)
    raise ServiceError(
        f"the embedded Prefect server did not start; see {home.folder('prefect') / 'server.log'}"
    )


def _running(folder: Path) -> str | None:
    """Address of the server that is there, starting up or ready."""
    try:
        entry = json.loads((folder / "server.json").read_text())
        os.kill(entry["pid"], 0)
    except (FileNotFoundError, ProcessLookupError, ValueError):
        return None
    # After a reboot the number may belong to somebody else; only the server holds this lock.
    with (folder / "serving.lock").open("a") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return str(entry["url"])
    return None


def _spawn(home: Home, folder: Path) -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}/api"
    serving = (folder / "serving.lock").open("a")
    fcntl.flock(serving, fcntl.LOCK_EX)
    with (folder / "server.log").open("ab") as log, serving:
        process = subprocess.Popen(
            [sys.executable, "-m", "flows.embedded_server", str(home.path), str(port)],
            env={**os.environ, **environment(home)},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=[serving.fileno()],
            start_new_session=True,
        )
    _started.append(process)  # It outlives us; Python would complain if it were dropped.
    (folder / "server.json").write_text(json.dumps({"pid": process.pid, "url": url}))
    return url


def serve(home: Home, port: int) -> None:
    """Run the server in this process until nobody uses it."""
    import uvicorn
    from prefect.server.api.server import create_app

    config = uvicorn.Config(create_app(), host="127.0.0.1", port=port, log_level="warning")
    server = uvicorn.Server(config)
    threading.Thread(target=_leave_when_unused, args=(home, server), daemon=True).start()
    server.run()


def _leave_when_unused(home: Home, server: object) -> None:
    folder = home.folder("prefect")
    unused_since: float | None = None
    while True:
        time.sleep(0.5)
        with (
            home.locked("prefect-server"),
            (folder / "users.lock").open("a") as handle,
        ):
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                unused_since = None
                continue
            now = time.monotonic()
            unused_since = now if unused_since is None else unused_since
            if now - unused_since >= GRACE_SECONDS:
                (folder / "server.json").unlink(missing_ok=True)
                server.should_exit = True  # type: ignore[attr-defined]
                return


if __name__ == "__main__":
    serve(Home(sys.argv[1]), int(sys.argv[2]))
