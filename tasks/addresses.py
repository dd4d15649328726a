"""Addresses of servers and databases: checked before use, printed without their secrets."""

import re
from collections.abc import Collection
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from rlhf_core.errors import ConfigurationError
from rlhf_core.texts import shortened

MASK = "***"
LONGEST = 300
"""Characters of an address, or of a server's answer, that a message repeats."""

# Every repetition has a bound, so that no text takes long to search.
_SCHEME = r"(?P<scheme>(?<![\w+.-])[A-Za-z][\w+.-]{0,40}://|(?<![\w+.:/-])//)"
_USER = re.compile(_SCHEME + r"(?P<user>[^\s/?#'\"]{0,1000})@")
# A password with a slash or a blank in it belongs into no address, and is no reason to show it.
_STRAY = re.compile(_SCHEME + r"(?P<user>[^\s/?#@'\":]{0,200}:[^\s'\"]{0,1000})@")
_BLANK = re.compile(
    _SCHEME + r"(?P<user>[^\s/?#@'\":]{0,200}:(?!\d{1,5}(?:[/\s]|$))"
    r"(?:[^\s@]|[ \t](?![\w+.-]{0,40}://)){0,1000})@"
)
_PARAMETER = re.compile(
    r"(?P<name>[?&;#][\w.%-]{0,60}(?:pass|pwd|token|secret|key|auth|sig|cred)[\w.%-]{0,60}=)"
    r"(?:'[^'\n]{0,1000}'|\"[^\"\n]{0,1000}\"|['\"]?[^&;#\s'\"]+)",
    re.IGNORECASE,
)
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f]")


def masked(text: str) -> str:
    """A text in which every address has `***` in place of its secrets.

    Secrets are the password before a host (`user:secret@host`; without a colon the whole of it, as
    a token stands there) and parameters such as `?token=`, `&password=` and `#access_token=`.
    """
    for pattern in (_USER, _STRAY, _BLANK):
        text = pattern.sub(_hide_user, text)
    return _PARAMETER.sub(rf"\g<name>{MASK}", text)


def _hide_user(match: "re.Match[str]") -> str:
    user, colon, _ = match["user"].partition(":")
    return f"{match['scheme']}{user}:{MASK}@" if colon else f"{match['scheme']}{MASK}@"


def printable(text: str) -> str:
    """A masked text on one line of a bounded length."""
    line = _UNPRINTABLE.sub("?", " ".join(masked(text[: 10 * LONGEST]).split()))
    return shortened(line, LONGEST)


def scheme_of(address: str) -> str:
    """The scheme in small letters; empty for a path."""
    head, separator, _ = address.partition(":")
    plain = re.fullmatch(r"[A-Za-z][\w+.-]+", head) is not None
    return head.lower() if separator and plain else ""


def check_url(variable: str, address: str, example: str) -> str:
    """Return an `http(s)://` address with its scheme in small letters and no slash at the end.

    Args:
        variable: names the source of the address in the message.
        address: as the user wrote it.
        example: of a right one.

    Raises:
        ConfigurationError: it has another scheme, no host, or a port that is none.
    """
    scheme = scheme_of(address)
    problem: object = None
    # A password that is not quoted is taken for a part of the host, the port or the path.
    strange = _UNPRINTABLE.search(address) or " " in address
    try:
        parts = urlsplit(address)
        if scheme not in ("http", "https"):
            problem = f"the scheme is '{scheme}'" if scheme else "it has no scheme"
        elif not parts.hostname:
            problem = "it has no host"
        elif strange:
            problem = "it holds a blank or a control character"
            address = f"{scheme}://{parts.hostname}"
        elif parts.port == 0:
            problem = "the port is 0"
    except ValueError as error:
        problem = error
        if "@" in address and "IPv6" not in str(error):
            problem = "write a user and a password with %2F for a slash and the like"
    if problem is not None:
        raise ConfigurationError(
            f"{variable}: expected an address such as {example}, actual: '{printable(address)}' "
            f"({printable(str(problem))})"
        )
    return f"{scheme}{address[len(scheme) :]}".rstrip("/")


def check_scheme(variable: str, address: str, schemes: Collection[str], example: str) -> None:
    """Raise `ConfigurationError` unless the address has one of these schemes.

    A driver after a plus sign is no part of it: `postgresql+psycopg2` counts as `postgresql`.
    """
    scheme = scheme_of(address)
    if scheme.partition("+")[0] not in schemes:
        names = ", ".join(sorted(filter(None, schemes)))
        raise ConfigurationError(
            f"{variable}: expected an address such as {example} (schemes: {names}), actual: "
            f"'{printable(address)}'"
        )


def sqlite_url(path: Path, driver: str = "sqlite", timeout: int | None = None) -> str:
    """The address of an SQLite file, whatever characters its path holds.

    Args:
        path: absolute.
        driver: SQLAlchemy's, such as `sqlite+aiosqlite`.
        timeout: SQLite's patience with another process's lock (seconds).
    """
    plain = "?" not in str(path)
    # SQLAlchemy takes the first question mark for the end of the path. The second form is SQLite's
    # own, in which the path is quoted.
    place = str(path) if plain else f"file:{quote(str(path))}"
    options = [f"timeout={timeout}"] if timeout is not None else []
    if not plain:
        options.append("uri=true")
        # Of an address without a driver MLflow makes a folder, taking the whole for a path.
        driver = driver if "+" in driver else f"{driver}+pysqlite"
    return f"{driver}:///{place}" + (f"?{'&'.join(options)}" if options else "")


def sqlite_file(address: str) -> Path | None:
    """The file of an SQLite address; None for another address, or a database in memory."""
    driver, separator, rest = address.partition(":///")
    place = rest.partition("?")[0]
    if not separator or driver.partition("+")[0] != "sqlite" or place in ("", ":memory:"):
        return None
    return Path(unquote(place.removeprefix("file:")) if place.startswith("file:") else place)
