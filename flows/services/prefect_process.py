"""The process that a home's Prefect server runs in."""

import os
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from flows.services.credentials import api_secret
from flows.services.gateway import Gateway, local_hosts
from tasks.home import Home, private, try_lock

GRACE_SECONDS = 5.0
"""How long the server waits for another user after the last one left."""


class _Stoppable(Protocol):
    should_exit: bool


def serve(home: Home, listening: socket.socket) -> None:
    """Run the server in this process until nobody uses it."""
    os.umask(0o077)
    port: int = listening.getsockname()[1]
    secret = api_secret(home)
    # Prefect reads them when it is imported.
    os.environ["PREFECT_SERVER_API_AUTH_STRING"] = secret
    origins = ",".join(sorted(f"http://{host}" for host in local_hosts(port)))
    os.environ["PREFECT_SERVER_CORS_ALLOWED_ORIGINS"] = origins
    import uvicorn
    from prefect.server.api.server import create_app

    # Uvicorn closes connections that are still open when it has to leave, and does not wait.
    gateway = Gateway(create_app(), home, secret, port)
    config = uvicorn.Config(gateway, log_level="warning", timeout_graceful_shutdown=5)
    server = uvicorn.Server(config)
    threading.Thread(target=_leave_when_unused, args=(home, server), daemon=True).start()
    server.run(sockets=[listening])


@contextmanager
def _unused(home: Home) -> Iterator[bool]:
    """Whether nobody uses the server; inside the block nobody can begin to start another."""
    with (
        home.locked("prefect-server"),
        private(home.folder("prefect") / "users.lock", "a") as handle,
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
