"""The services behind a run: Prefect's server and the tracking store, embedded or external."""

import os

from flows.services import prefect_server
from rlhf_core.errors import ServiceError
from tasks.home import Home
from tasks.tracking.store import prepare

ANSWER_SECONDS = 5.0


def connect(home: Home) -> None:
    """Make both services ready and point this process at them, before Prefect is imported.

    `PREFECT_API_URL` and `MLFLOW_TRACKING_URI` name servers of your own; without them the home's
    embedded ones are used.
    """
    os.environ["RLHF_HOME"] = str(home.path)
    home.store.remember("written", {})  # An unwritable or foreign store is refused at once.
    external = os.environ.get("PREFECT_API_URL")
    if external == os.environ.get("RLHF_EMBEDDED_PREFECT"):
        external = None  # Set by an earlier call in this process, not by the user.
    if external:
        check_prefect(external)
    url = external or prefect_server.request(home)
    os.environ["PREFECT_API_URL"] = url
    if not external:
        os.environ.update(prefect_server.environment(home))
        os.environ["RLHF_EMBEDDED_PREFECT"] = url
    # Exceptions reach the user once, from the command; Prefect keeps its logs for its page.
    os.environ.setdefault("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "CRITICAL")
    prepare(home)
    # The slow imports happen while the server starts.
    import torch  # noqa: F401

    import flows.train  # noqa: F401

    if not external:
        prefect_server.wait(home, url)


def check_prefect(url: str) -> None:
    """Raise `ServiceError` unless a server answers at this address."""
    import httpx

    try:
        httpx.get(f"{url.rstrip('/')}/health", timeout=ANSWER_SECONDS).raise_for_status()
    except httpx.HTTPError as error:
        raise ServiceError(
            f"Prefect server {url} does not answer ({error}); start it, or unset "
            "PREFECT_API_URL to use the embedded one"
        ) from error
