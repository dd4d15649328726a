"""`rlhf label serve`: pages of annotators and owner, and runs that go on when all is answered."""

import os
import signal
import threading
from collections.abc import Callable
from datetime import datetime
from types import FrameType

from flows.repeating import repeat
from flows.services import label_server, prefect_server
from flows.services.connect import check_prefect, external_prefect
from flows.services.home_server import is_served
from flows.services.label_server import owner_secret
from rlhf_core.errors import ConfigurationError
from tasks.home import Home
from tasks.people import labels_of

LOOK_SECONDS = 5.0
"""How often is looked which runs can go on."""


def serve_pages(
    home: Home,
    host: str | None,
    port: int | None,
    url: str | None,
    proxies: tuple[str, ...],
    say: Callable[[str], None],
) -> None:
    """Serve until interrupted.

    Without host, port and address it is the home's own server, at the port it had before, which
    runs that wait in a terminal share.

    Args:
        home: whose campaigns.
        host: address to listen on.
        port: to listen on.
        url: how people reach it.
        proxies: addresses of proxies that are believed.
        say: told the owner's link, and of each run that goes on.

    Raises:
        ConfigurationError: others reach the server and it has no secret, or the port is taken.
        ServiceError: a server does not answer.
    """
    own = external_prefect()
    if own:
        check_prefect(own)
    stop = threading.Event()

    def tell(text: str) -> None:
        say(f"{datetime.now():%Y-%m-%d %H:%M:%S}  {text}")

    def wake() -> None:
        arguments = (lambda: _look(home, own, tell), stop, LOOK_SECONDS, tell)
        threading.Thread(target=repeat, args=arguments, daemon=True).start()

    if host is None and port is None and url is None and not proxies:
        _serve_home(home, stop, say, wake)
    else:
        _serve_here(home, host, port, url, proxies, say, wake)
    stop.set()


def _serve_home(
    home: Home, stop: threading.Event, say: Callable[[str], None], wake: Callable[[], None]
) -> None:
    """Keep the home's server up until a signal comes."""

    def end(number: int, frame: FrameType | None) -> None:
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, end)
    address = label_server.SERVER.request(home)
    label_server.SERVER.wait(home, address)
    say(f"owner's page: {address}/owner#{owner_secret(home)}")
    say("Ctrl-C stops")
    wake()
    stop.wait()


def _serve_here(
    home: Home,
    host: str | None,
    port: int | None,
    url: str | None,
    proxies: tuple[str, ...],
    say: Callable[[str], None],
    wake: Callable[[], None],
) -> None:
    """Serve in this process, as the user says."""
    from pydantic import SecretStr, ValidationError

    from rlhf_core.labelling.server import (
        SECRET_VARIABLE,
        Address,
        EnvironmentClips,
        ServerSettings,
        is_loopback,
        serve,
    )

    given = os.environ.get(SECRET_VARIABLE, "")
    private = is_loopback(host or "127.0.0.1") and url is None
    try:
        settings = ServerSettings(
            host=host or "127.0.0.1",
            port=8010 if port is None else port,
            secret=SecretStr(given or (owner_secret(home) if private else "")),
            public_url=url,
            proxies=proxies,
            cache=home.folder("labelling") / "clips",
        )
    except ValidationError as error:
        problem = error.errors()[0]
        raise ConfigurationError(
            f"--{problem['loc'][0]}: {problem['msg']}, actual: {problem['input']}"
        ) from None

    def announce(address: Address) -> None:
        # The secret that the owner chose is not repeated.
        link = address.owner_link if private and not given else f"{address.url}/owner"
        say(f"owner's page: {link}")
        say(f"runs find it by {label_server.VARIABLE}={address.url}; Ctrl-C stops")
        wake()

    with labels_of(home) as labels:
        serve(labels, EnvironmentClips(), settings, announce)


def _look(home: Home, own: str | None, say: Callable[[str], None]) -> None:
    """Resume runs of deployments whose answers are in, where there is a Prefect server."""
    # A home's own Prefect server is used where somebody else keeps it up.
    served = own or is_served(home.folder("prefect"))
    address = own or prefect_server.SERVER.address(home)
    if not served or address is None:
        return
    os.environ["PREFECT_API_URL"] = address
    if not own:
        os.environ.update(prefect_server.environment(home))
    from prefect import get_client

    from flows.waking import Waker

    with get_client(sync_client=True) as client:
        Waker(home, say).look(client)
