"""The services behind a run: Prefect's server and the tracking store, embedded or external."""

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from flows.services import prefect_server
from flows.services.ready import ready
from rlhf_core.errors import ServiceError
from tasks.addresses import check_url, printable
from tasks.deadline import within
from tasks.home import Home
from tasks.tracking.store import tracker_of

if TYPE_CHECKING:
    import httpx

VARIABLE = "PREFECT_API_URL"
EXAMPLE = "http://127.0.0.1:4200/api"
ANSWER_SECONDS = 6.0
"""Longest wait for a server's whole answer."""
HINT = f"or unset {VARIABLE} to use the embedded one"


def connect(home: Home) -> None:
    """Make both services ready and point this process at them, before Prefect is imported.

    `PREFECT_API_URL` and `MLFLOW_TRACKING_URI` name servers of your own; without them the home's
    embedded ones are used.
    """
    os.environ["RLHF_HOME"] = str(home.path)
    home.store.remember("written", {})  # An unwritable or foreign store is refused at once.
    # Exceptions reach the user once, from the command; Prefect keeps its logs for its page, and of
    # a server that is lost the command says so in one sentence.
    os.environ.setdefault("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "CRITICAL")
    os.environ.setdefault("PREFECT_LOGGING_INTERNAL_LEVEL", "CRITICAL")
    logging.raiseExceptions = False
    # After 2, 4 and 8 seconds; Prefect's own five retries would take a minute for each request.
    os.environ.setdefault("PREFECT_CLIENT_MAX_RETRIES", "3")
    external = external_prefect()
    if external:
        check_prefect(external)
    if tracker_of(home).remote:
        ready(home)  # Before a server of ours is started for nothing.
    if not external:
        url = prefect_server.SERVER.request(home)
        os.environ[VARIABLE] = url
        os.environ.update(prefect_server.environment(home))
        os.environ["RLHF_EMBEDDED_PREFECT"] = url
    if not tracker_of(home).remote:
        ready(home)
    # The slow imports happen while the server starts.
    import torch  # noqa: F401

    import flows.train  # noqa: F401

    if not external:
        prefect_server.SERVER.wait(home, url)


def external_prefect() -> str | None:
    """The address of a Prefect server of the user's own; None where the embedded one is used.

    Raises:
        ConfigurationError: `PREFECT_API_URL` holds no address.
    """
    external = os.environ.get(VARIABLE)
    # It may have been set by an earlier call in this process, not by the user.
    if not external or external == os.environ.get("RLHF_EMBEDDED_PREFECT"):
        return None
    return check_url(VARIABLE, external, EXAMPLE)


def check_prefect(url: str) -> None:
    """Send a Prefect server one real request, with one limit on the whole of it.

    Raises:
        ServiceError: no Prefect server answers at this address, or it answers with an error.
    """
    import httpx

    try:
        within(ANSWER_SECONDS, lambda: httpx.get(f"{url}/health", timeout=ANSWER_SECONDS))
    except (httpx.HTTPError, httpx.InvalidURL, TimeoutError) as error:
        raise ServiceError(
            f"Prefect server {printable(url)} does not answer ({printable(str(error))}); "
            f"start it, {HINT}"
        ) from error
    os.environ[VARIABLE] = url
    # Only Prefect knows every place that a key for its server may stand in.
    from prefect import get_client
    from prefect.settings import PREFECT_API_URL, PREFECT_CLIENT_MAX_RETRIES, temporary_settings

    def ask() -> str | None:
        with temporary_settings({PREFECT_API_URL: url, PREFECT_CLIENT_MAX_RETRIES: 0}):
            # Entered, the client would ask for versions first, and tell less when that fails.
            client = get_client(sync_client=True)
            # The second request reaches the database.
            return _problem(lambda: client.request("GET", "/admin/version"), str) or _problem(
                lambda: client.request("POST", "/flows/count", json={}), int
            )

    try:
        problem = within(ANSWER_SECONDS, ask)
    except (httpx.HTTPError, TimeoutError) as error:
        problem = printable(str(error)) or type(error).__name__
    if problem is not None:
        raise ServiceError(
            f"{VARIABLE}: expected a Prefect API such as {EXAMPLE}, actual: at {printable(url)} "
            f"{problem}; mend it, {HINT}"
        )


def _problem(request: "Callable[[], httpx.Response]", expected: type) -> str | None:
    """What came in place of an answer of the expected type; None where that came."""
    import httpx

    try:
        answer = request()
    except httpx.HTTPStatusError as error:
        answer = error.response
    try:
        right = answer.status_code == 200 and isinstance(answer.json(), expected)
    except ValueError:
        right = False
    return None if right else f"status {answer.status_code}: {printable(answer.text)}"


@contextmanager
def lost_prefect() -> Iterator[None]:
    """Turn the end of a Prefect server during a run into one sentence.

    Raises:
        ServiceError: the server did not answer a request of the run.
    """
    import httpx
    from prefect.exceptions import PrefectHTTPStatusError

    try:
        yield
    except (httpx.TransportError, PrefectHTTPStatusError) as error:
        what = printable(str(error)) or type(error).__name__
        url = printable(os.environ[VARIABLE])
        raise ServiceError(f"Prefect server {url} was lost during the run ({what})") from error
