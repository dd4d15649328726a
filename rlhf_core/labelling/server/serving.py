"""Run the label server, in this thread or beside it."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import uvicorn

from rlhf_core.errors import ConfigurationError, ServiceError
from rlhf_core.labelling.server.app import create_app
from rlhf_core.labelling.server.clip_source import ClipSource
from rlhf_core.labelling.server.settings import ServerSettings, with_secret
from rlhf_core.labelling.store import LabelStore

START_SECONDS = 30.0
EVERYWHERE = ("", "0.0.0.0", "::")  # noqa: S104, it is compared, not bound


@dataclass(frozen=True)
class Address:
    """Where a server is reached."""

    url: str
    """Without a slash at the end."""
    owner_link: str = field(repr=False)
    """Signs the owner in; it holds the secret."""


def serve(
    store: LabelStore,
    clips: ClipSource,
    settings: ServerSettings,
    announce: Callable[[Address], None],
) -> None:
    """Serve until the process is told to stop (SIGINT, SIGTERM).

    Args:
        store: of campaigns and answers.
        clips: describes and draws clips.
        settings: of the server.
        announce: is called once, when the server listens.

    Raises:
        ConfigurationError: others reach the server and it has no secret, or the port is taken.
    """
    settings = with_secret(settings)
    with _listening(settings) as (listening, address):
        server = uvicorn.Server(_configuration(store, clips, settings))
        announce(address)
        server.run(sockets=[listening])


def server_of(store: LabelStore, clips: ClipSource, settings: ServerSettings) -> uvicorn.Server:
    """A server that does not run yet, for a socket that listens already.

    Raises:
        ConfigurationError: others reach the server and it has no secret.
    """
    return uvicorn.Server(_configuration(store, clips, with_secret(settings)))


@contextmanager
def serving(store: LabelStore, clips: ClipSource, settings: ServerSettings) -> Iterator[Address]:
    """Serve in a thread of this process while the block runs; the arguments are those of `serve`.

    Raises:
        ConfigurationError: others reach the server and it has no secret, or the port is taken.
        ServiceError: it does not start.
    """
    settings = with_secret(settings)
    with _listening(settings) as (listening, address):
        server = uvicorn.Server(_configuration(store, clips, settings))
        thread = threading.Thread(
            target=lambda: server.run(sockets=[listening]), name="label-server", daemon=True
        )
        thread.start()
        try:
            for _ in range(int(START_SECONDS / 0.02)):
                if server.started or not thread.is_alive():
                    break
                thread.join(0.02)
            if not server.started:
                raise ServiceError(f"the label server at {address.url} does not start")
            yield address
        finally:
            server.should_exit = True
            thread.join()


@contextmanager
def _listening(settings: ServerSettings) -> Iterator[tuple[socket.socket, Address]]:
    host = settings.host.strip("[]")
    try:
        family = socket.getaddrinfo(host, None)[0][0]
        listening = socket.create_server((host, settings.port), family=family, backlog=512)
    except OSError as error:
        raise ConfigurationError(
            f"the label server cannot listen on {settings.host}:{settings.port}: {error}; choose "
            "another port, or 0 for any"
        ) from error
    with listening:
        # Connections inherit it. Without it each answer in two parts waits 40 ms for the first.
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        port = listening.getsockname()[1]
        # What listens on every address is reached by the name of the machine.
        name = socket.gethostname() if host in EVERYWHERE else host
        written = f"[{name}]" if ":" in name else name
        scheme = "https" if settings.secure else "http"
        url = settings.public_url or f"{scheme}://{written}:{port}"
        yield listening, Address(url, f"{url}/owner#{settings.secret.get_secret_value()}")


def _configuration(
    store: LabelStore, clips: ClipSource, settings: ServerSettings
) -> uvicorn.Config:
    return uvicorn.Config(
        create_app(store, clips, settings),
        # Addresses of invitations hold tokens, so calls are not logged.
        access_log=False,
        log_level="warning",
        server_header=False,
        ws="none",
        # Anybody could claim an address by a header; only named proxies are believed.
        proxy_headers=bool(settings.proxies),
        forwarded_allow_ips=list(settings.proxies),
        timeout_keep_alive=30,
        timeout_graceful_shutdown=5,
        limit_concurrency=2000,
    )
