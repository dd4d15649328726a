"""How the label server runs, and the rule that it needs a secret beyond this machine."""

import ipaddress
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator

from rlhf_core.errors import ConfigurationError
from rlhf_core.plugin import Config

SECRET_VARIABLE = "RLHF_LABEL_SECRET"  # noqa: S105, the name of a variable
SHORTEST_SECRET = 16
"""Characters of the owner's secret, at the least."""


class Rate(Config):
    """Calls that are let through: `burst` at once, then `per_second`."""

    per_second: float = Field(gt=0)
    burst: int = Field(ge=1)


class Limits(Config):
    """What one caller may use."""

    body_bytes: int = Field(262_144, ge=1024)
    """Of the body of a call, however it is sent."""
    body_seconds: float = Field(20, gt=0)
    """In which a body must arrive."""
    address: Rate = Rate(per_second=400, burst=1200)
    """Of one network address; a whole class may share one."""
    session: Rate = Rate(per_second=60, burst=240)
    """Of one session; playing needs 30 a second."""
    login: Rate = Rate(per_second=0.1, burst=8)
    """Attempts of one address to sign in as owner."""
    all_logins: Rate = Rate(per_second=1, burst=60)
    """Attempts of all addresses together."""
    join: Rate = Rate(per_second=2, burst=100)
    """Attempts of one address to join."""
    plays: int = Field(64, ge=1)
    """Episodes that are played at a time; each annotator plays one."""
    play_idle_seconds: float = Field(900, gt=0)
    """After which an episode that nobody steps is given up."""


class ServerSettings(Config):
    """How the label server runs."""

    host: str = "127.0.0.1"
    """Address that it listens on."""
    port: int = Field(8010, ge=0, le=65535)
    """0: any free one."""
    secret: SecretStr = SecretStr("")
    """With which the owner signs in."""
    public_url: str | None = None
    """Address by which people reach it, such as `https://labels.example.org`; None: the one that
    it listens on."""
    tls: bool = False
    """Whether people reach it by HTTPS, through a proxy; a `public_url` says so itself."""
    proxies: tuple[str, ...] = ()
    """Addresses of proxies whose word about the caller's address is taken."""
    cache: Path = Path("label-clips")
    """Folder of drawn clips."""
    cache_bytes: int = Field(2 * 2**30, ge=1)
    draw_threads: int = Field(2, ge=1, le=64)
    """Clips that are drawn at a time."""
    owner_hours: float = Field(12, gt=0)
    """How long the owner stays signed in."""
    limits: Limits = Limits()

    @field_validator("public_url")
    @classmethod
    def _is_origin(cls, url: str | None) -> str | None:
        if url is None:
            return None
        parts = urlsplit(url)
        plain = not (parts.path.strip("/") or parts.query or parts.fragment or parts.username)
        if parts.scheme not in ("http", "https") or not parts.hostname or not plain:
            raise ValueError("expected an address such as https://labels.example.org")
        return f"{parts.scheme}://{parts.netloc.lower()}"

    @property
    def secure(self) -> bool:
        """Whether browsers reach it by HTTPS."""
        return self.tls or (self.public_url or "").startswith("https://")


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches what listens on a host."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def with_secret(
    settings: ServerSettings, environment: Mapping[str, str] = os.environ
) -> ServerSettings:
    """The settings with a secret: their own, else the variable's, else a random one on loopback.

    Raises:
        ConfigurationError: others reach the server and there is no secret of 16 characters.
    """
    secret = settings.secret.get_secret_value() or environment.get(SECRET_VARIABLE, "")
    private = is_loopback(settings.host) and settings.public_url is None
    if not secret and private:
        secret = secrets.token_urlsafe(24)
    if len(secret) < SHORTEST_SECRET:
        raise ConfigurationError(
            f"secret: expected at least {SHORTEST_SECRET} characters, in {SECRET_VARIABLE} or as "
            f"argument, {'' if private else 'since others reach the server, '}actual: {len(secret)}"
        )
    return settings.model_copy(update={"secret": SecretStr(secret)})
