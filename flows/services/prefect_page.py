"""The address of Prefect's page, where it is one that lasts."""

import os

from flows.services.connect import external_prefect


def lasting_page() -> str | None:
    """The page of a Prefect server of the user's own; None for an embedded one.

    `PREFECT_UI_URL` names it where it is not at the address of the API.

    Raises:
        ConfigurationError: `PREFECT_API_URL` holds no address.
    """
    api = external_prefect()
    if api is None:
        return None
    return (os.environ.get("PREFECT_UI_URL") or api.removesuffix("/api")).rstrip("/")


def page_of_this_flow_run() -> str | None:
    """The page of the flow run that is being played, where it lasts."""
    from prefect import runtime  # It reads the address of its server when it is imported.

    page = lasting_page()
    return None if page is None else f"{page}/runs/flow-run/{runtime.flow_run.id}"
