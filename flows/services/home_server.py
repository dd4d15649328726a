"""A server that a home shares: one process for all that need it, gone when nobody does.

Every user holds a shared lock for as long as it lives; the server leaves when nobody has held it
for a while. Two locks in the service's folder, each freed by the end of its owner, however it ends:

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
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol
from urllib.parse import urlsplit

from rlhf_core.errors import ServiceError, StoreError
from tasks.home import Home, private, try_lock, write_private

START_SECONDS = 120.0
"""A first start migrates a database; on a busy machine that takes a while."""
LOOK_SECONDS = 1.0
"""How often a user looks whether the server lives."""
REVIVAL_SECONDS = 5.0
"""How long nobody may serve before a server that is waited for counts as lost."""
RESTARTS = 3
"""How often one process starts a killed server again, before it takes it for broken."""
FORGIVEN_SECONDS = 600.0
"""A server that lived as long was not broken: its restarts count no more."""
GRACE_SECONDS = 5.0
"""How long the server waits for another user after the last one left."""


@dataclass(frozen=True)
class Service:
    """What the server of a home is."""

    name: str
    """Of its folder in the home."""
    title: str
    """For messages."""
    module: str
    """Run as `python -m module HOME DESCRIPTOR` with the number of a socket that listens."""
    path: str
    """Of its API, such as `/api`."""
    environment: Callable[[Home], Mapping[str, str]] = lambda home: {}
    """Variables of its process, beside those of its user."""
    lasting_port: bool = False
    """Whether it comes back at the port it had before, so that links to it stay good."""


class HomeServer:
    """The server of a service, as one process uses it."""

    def __init__(self, service: Service) -> None:
        """Used by nobody yet."""
        self.service = service
        self.started: list[subprocess.Popen[bytes]] = []
        """Processes that this one has started."""
        self._users: list[IO[str]] = []

    def request(self, home: Home) -> str:
        """Be a user of the home's server until this process ends, and start it if need be.

        Returns its API address as soon as there is one; `wait` says when it answers.
        """
        folder = home.folder(self.service.name)
        handle = private(folder / "users.lock", "a")
        fcntl.flock(handle, fcntl.LOCK_SH)
        self._users.append(handle)
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            with home.locked(f"{self.service.name}-server"):
                if not is_served(folder):
                    self._spawn_anew(home, folder)
                url = self.address(home)
            if url is not None:
                threading.Thread(target=self.keep, args=(home, handle), daemon=True).start()
                return url
            time.sleep(0.1)  # It was just leaving when we came; its successor is ours to start.
        raise ServiceError(
            f"the embedded {self.service.title} does not leave; see {folder / 'server.log'}"
        )

    def leave(self) -> None:
        """Be a user no longer, and see the servers that this process started out.

        The end of the process does the same without waiting.
        """
        while self._users:
            self._users.pop().close()
        while self.started:
            self.started.pop().wait()

    def wait(self, home: Home, url: str) -> None:
        """Return when the server answers. One that was killed meanwhile is started again.

        Raises:
            ServiceError: it did not start; the message names its log.
        """
        import httpx

        folder = home.folder(self.service.name)
        deadline = time.monotonic() + START_SECONDS
        lost: float | None = None
        while (now := time.monotonic()) < deadline:
            if not is_served(folder):
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
        raise ServiceError(
            f"the embedded {self.service.title} did not start; see {folder / 'server.log'}"
        )

    def address(self, home: Home) -> str | None:
        """Where the server of a home says that it listens; None where there is none."""
        try:
            return str(
                json.loads((home.path / self.service.name / "server.json").read_text())["url"]
            )
        except FileNotFoundError:
            return None

    def last_address(self, home: Home) -> str:
        """Where the server listens, or listened last; a server that keeps its port comes back."""
        known = home.folder(self.service.name) / "port"
        there = self.address(home)
        if there is None and not known.exists():
            self.request(home)
            there = self.address(home)
        return there or f"http://127.0.0.1:{known.read_text()}{self.service.path}"

    def keep(self, home: Home, user: IO[str]) -> None:
        """Start the server again where it was killed, for as long as this process is its user."""
        restarts, last = 0, time.monotonic()
        while restarts < RESTARTS:
            time.sleep(LOOK_SECONDS)
            if user.closed:
                return
            if time.monotonic() - last > FORGIVEN_SECONDS:
                restarts = 0
            try:
                if self._restart(home, user):
                    restarts, last = restarts + 1, time.monotonic()
            except (OSError, StoreError):
                # The home was deleted, or cannot be written any more: nobody needs its server.
                return

    def _restart(self, home: Home, user: IO[str]) -> bool:
        """Start the server again where it was killed; returns whether that was tried."""
        folder = home.path / self.service.name
        if is_served(folder):
            return False
        with home.locked(f"{self.service.name}-server"):
            url = self.address(home)
            if url is None or user.closed or is_served(folder):
                return False
            for process in self.started:
                process.poll()
            try:
                self._spawn(home, folder, urlsplit(url).port or 0)
            except OSError as error:  # The port is taken: by a stranger, or for a moment.
                with (folder / "server.log").open("a") as log:
                    log.write(f"cannot start again at {url}: {error}\n")
        return True

    def _spawn_anew(self, home: Home, folder: Path) -> None:
        """Start a server where nobody waits for one at a known address."""
        known = folder / "port"
        port = int(known.read_text()) if self.service.lasting_port and known.exists() else 0
        try:
            self._spawn(home, folder, port)
        except OSError:  # Somebody else has taken it meanwhile.
            if not port:
                raise
            self._spawn(home, folder)

    def _spawn(self, home: Home, folder: Path, port: int = 0) -> None:
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
            place = {"url": f"http://127.0.0.1:{port}{self.service.path}"}
            write_private(folder / "server.json", json.dumps(place))
            if self.service.lasting_port:
                write_private(folder / "port", str(port))
            process = subprocess.Popen(  # noqa: S603 - a module of ours
                [sys.executable, "-P", "-m", self.service.module, str(home.path),
                 str(listening.fileno())],
                # A `flows` in the working folder is not ours.
                env={**os.environ, **self.service.environment(home), "PYTHONSAFEPATH": "1"},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=[serving.fileno(), listening.fileno()],
                start_new_session=True,
            )  # fmt: skip
        self.started.append(process)  # It outlives us; Python would complain if it were dropped.


def is_served(folder: Path) -> bool:
    """Whether a server lives, starting up or ready.

    Args:
        folder: of the service.
    """
    with private(folder / "serving.lock", "a") as handle:
        try:
            # Shared, so that two that look at once do not take each other for the server.
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False


class Stoppable(Protocol):
    """A server that ends when it is told to."""

    should_exit: bool


def leave_when_unused(home: Home, name: str, server: Stoppable) -> None:
    """Tell the server of this process to end once nobody uses it; a thread looks.

    Args:
        home: whose server it is.
        name: of the service.
        server: what is told.
    """
    threading.Thread(target=_leave_when_unused, args=(home, name, server), daemon=True).start()


def _leave_when_unused(home: Home, name: str, server: Stoppable) -> None:
    since: float | None = None
    while True:
        time.sleep(0.5)
        with _unused(home, name) as unused:
            since = (since or time.monotonic()) if unused else None
            if since is not None and time.monotonic() - since >= GRACE_SECONDS:
                (home.folder(name) / "server.json").unlink(missing_ok=True)
                server.should_exit = True
                return


@contextmanager
def _unused(home: Home, name: str) -> Iterator[bool]:
    """Whether nobody uses the server; inside the block nobody can begin to start another."""
    with (
        home.locked(f"{name}-server"),
        private(home.folder(name) / "users.lock", "a") as handle,
    ):
        yield try_lock(handle)
