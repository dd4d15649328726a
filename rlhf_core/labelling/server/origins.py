"""Which names the server answers to, and which pages may call it.

A page of a stranger can let its own name lead to this server (DNS rebinding). Such a call carries
the stranger's name as `Host`, which is refused. A number cannot be rebound, so each is accepted.
"""

import ipaddress
import socket
from dataclasses import dataclass
from urllib.parse import urlsplit

from rlhf_core.labelling.server.settings import ServerSettings

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
"""Methods that change nothing."""


@dataclass(frozen=True)
class Origins:
    """Names and origins of one server."""

    names: frozenset[str]
    """Hosts without port, in small letters."""
    scheme: str
    """http or https, as browsers see it."""
    public: str | None
    """The origin that the owner named."""

    def answers_to(self, host: str) -> bool:
        """Whether the `Host` of a call is one of this server's."""
        name = host_name(host)
        if name is None:
            return False
        return name in self.names or _is_number(name)

    def may_call(self, method: str, host: str, origin: str | None, site: str | None) -> bool:
        """Whether a browser sends this call from a page of this server.

        Args:
            method: of the call.
            host: its `Host`.
            origin: its `Origin`; browsers send it with each change.
            site: its `Sec-Fetch-Site`; browsers send it with each call.
        """
        if site is not None and site not in ("same-origin", "none"):
            return False
        if origin is None:
            return True
        if method in SAFE and origin == "null":
            return site in ("same-origin", "none")
        return origin.lower() in {f"{self.scheme}://{host.lower()}", self.public}


def origins_of(settings: ServerSettings) -> Origins:
    """The names and origins of a server."""
    names = {"localhost", settings.host.lower(), socket.gethostname().lower()}
    if settings.public_url is not None:
        names.add(urlsplit(settings.public_url).hostname or "")
    scheme = "https" if settings.secure else "http"
    return Origins(frozenset(names), scheme, settings.public_url)


def host_name(host: str) -> str | None:
    """The name in a `Host`, without its port; None where it is none."""
    try:
        parts = urlsplit(f"//{host}")
        parts.port  # noqa: B018, raises where it is no number
    except ValueError:
        return None
    if parts.path or parts.query or parts.fragment or parts.username is not None:
        return None
    return parts.hostname


def _is_number(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
