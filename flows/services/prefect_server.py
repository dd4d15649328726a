"""One Prefect server a home, shared by all that need it, gone when nobody does.

Prefect's own temporary server belongs to one process: two trainings would run two servers on one
SQLite file, and a killed training would leave its server behind. Here every user holds a shared
lock for as long as it lives; the server leaves when nobody has held it for a while.

Two locks, each freed by the end of its owner, however it ends:

    users.lock      shared by every process that uses the server
    serving.lock    held by the server; beside it `server.json` says where the server listens

A server that was killed is started again by its users, at the same address: requests wait for it.
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
from urllib.parse import urlsplit

from flows.services.credentials import api_secret
from rlhf_core.errors import ServiceError, StoreError
from tasks.addresses import sqlite_url
from tasks.home import Home, private, write_private

START_SECONDS = 120.0
"""A first start migrates the database; on a busy machine that takes a while."""

LOOK_SECONDS = 1.0
"""How often a user looks whether the server lives."""
REVIVAL_SECONDS = 5.0
"""How long nobody may serve before a server that is waited for counts as lost."""
RESTARTS = 3
"""How often one process starts a killed server again, before it takes it for broken."""
FORGIVEN_SECONDS = 600.0
"""A server that lived as long was not broken: its restarts count no more."""

_users: list[IO[str]] = []
_started: list["subprocess.Popen[bytes]"] = []


def environment(home: Home) -> dict[str, str]:
    """Settings of Prefect's server and clients in this home."""
    folder = home.folder("prefect")
    settings = {
        "PREFECT_HOME": str(folder),
        "PREFECT_API_AUTH_STRING": api_secret(home),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_UI_API_URL": "/api",
        "DO_NOT_TRACK": "true",
    }
    if "?" in str(folder):  # Prefect itself would end the path there.
        database = sqlite_url(folder / "prefect.db", "sqlite+aiosqlite")
        settings["PREFECT_API_DATABASE_CONNECTION_URL"] = database
    return settings


def request(home: Home) -> str:
    """Be a user of the home's server until this process ends, and start it if need be.

    Returns its API address as soon as there is one; `wait` says when it answers.
    """
    folder = home.folder("prefect")
    handle = private(folder / "users.lock", "a")
    fcntl.flock(handle, fcntl.LOCK_SH)
    _users.append(handle)
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        with home.locked("prefect-server"):
            if not _is_served(folder):
                _spawn(home, folder)
            url = address(folder)
        if url is not None:
            threading.Thread(target=_keep, args=(home, handle), daemon=True).start()
            return url
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
    """Return when the server answers. One that was killed meanwhile is started again.

    Raises:
        ServiceError: it did not start; the message names its log.
    """
    import httpx

    folder = home.folder("prefect")
    deadline = time.monotonic() + START_SECONDS
    lost: float | None = None
    while (now := time.monotonic()) < deadline:
        if not _is_served(folder):
            lost = lost or now
            if now - lost > REVIVAL_SECONDS:
                break
            time.sleep(0.1)
            continue
        lost = None
        try:
            if httpx.get(f"{url}/health", timeout=5).status_code == 200:
                return
        except httpx.HTTPError:
            time.sleep(0.1)
    raise ServiceError(f"the embedded Prefect server did not start; see {folder / 'server.log'}")


def address(folder: Path) -> str | None:
    """Where the server of a home says that it listens; None where there is none."""
    try:
        return str(json.loads((folder / "server.json").read_text())["url"])
    except FileNotFoundError:
        return None


def _is_served(folder: Path) -> bool:
    """Whether a server lives, starting up or ready."""
    with private(folder / "serving.lock", "a") as handle:
        try:
            # Shared, so that two that look at once do not take each other for the server.
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False


def _keep(home: Home, user: IO[str]) -> None:
    """Start the server again where it was killed, for as long as this process is its user."""
    restarts, last = 0, time.monotonic()
    while restarts < RESTARTS:
        time.sleep(LOOK_SECONDS)
        if user.closed:
            return
        if time.monotonic() - last > FORGIVEN_SECONDS:
            restarts = 0
        try:
            if _restart(home, user):
                restarts, last = restarts + 1, time.monotonic()
        except (OSError, StoreError):
            return  # The home was deleted, or cannot be written any more: nobody needs its server.


def _restart(home: Home, user: IO[str]) -> bool:
    """Start the server again where it was killed; returns whether that was tried."""
    folder = home.path / "prefect"
    if _is_served(folder):
        return False
    with home.locked("prefect-server"):
        url = address(folder)
        if url is None or user.closed or _is_served(folder):
            return False
        for process in _started:
            process.poll()
        try:
            _spawn(home, folder, urlsplit(url).port or 0)
        except OSError as error:  # The port is taken: by a stranger, or for a moment.
            with (folder / "server.log").open("a") as log:
                log.write(f"cannot start again at {url}: {error}\n")
    return True


def _spawn(home: Home, folder: Path, port: int = 0) -> None:
    """Start a server that inherits our lock and our socket: it is there before it is running.

    Port 0 takes a free one. Killed at any moment, this leaves either no lock or a server that
    answers where it is said to.
    """
    with (
        private(folder / "serving.lock", "a") as serving,
        private(folder / "server.log", "a") as log,
        socket.create_server(("127.0.0.1", port)) as listening,
    ):
        fcntl.flock(serving, fcntl.LOCK_EX)
        port = listening.getsockname()[1]
        place = {"url": f"http://127.0.0.1:{port}/api"}
        write_private(folder / "server.json", json.dumps(place))
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "flows.services.prefect_process", str(home.path),
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
