"""The label server of a home, on which people answer."""

import os
import secrets

from flows.services.home_server import HomeServer, Service
from tasks.addresses import check_url
from tasks.home import Home, write_private

VARIABLE = "RLHF_LABEL_URL"
"""Names a label server of the user's own (`rlhf label serve --url`)."""
SERVED = "RLHF_SERVED"
"""Set to 1 by `rlhf serve` for the runs that it plays."""
EXAMPLE = "https://labels.example.org"


def owner_secret(home: Home) -> str:
    """With what the owner of a home signs in on its label server, made if need be."""
    path = home.folder("labelling") / "secret"
    if not path.exists():
        write_private(path, secrets.token_urlsafe(32), overwrite=False)
    return path.read_text()


def external() -> str | None:
    """The address of a label server of the user's own; None where the home's is used.

    Raises:
        ConfigurationError: `RLHF_LABEL_URL` holds no address.
    """
    given = os.environ.get(VARIABLE)
    return check_url(VARIABLE, given, EXAMPLE).rstrip("/") if given else None


def served_by_conductor() -> bool:
    """Whether `rlhf serve` plays this process's run, and keeps the label server meanwhile."""
    return os.environ.get(SERVED) == "1"


SERVER = HomeServer(
    Service("labelling", "label server", "flows.services.label_process", "", lasting_port=True)
)
