"""The secret of a home's Prefect server, and the tickets that open its page once.

The secret is an auth string of Prefect, `rlhf:RANDOM`, in a file that only its owner reads. A
browser never learns it: a ticket, printed as a part of a link, is exchanged for a cookie, and the
server's gateway puts the secret into the requests that bear the cookie.
"""

import hashlib
import hmac
import secrets
import time
from pathlib import Path

from tasks.home import Home, write_private

TICKET_SECONDS = 24 * 3600.0
"""How long a ticket that nobody used stays good."""


def api_secret(home: Home) -> str:
    """The auth string of a home's Prefect server, made if need be."""
    path = home.folder("prefect") / "secret"
    if not path.exists():
        write_private(path, f"rlhf:{secrets.token_urlsafe(32)}", overwrite=False)
    return path.read_text()


def issue_ticket(home: Home) -> str:
    """A new ticket. Only its digest is written down; those that are too old are removed."""
    ticket = secrets.token_urlsafe(32)
    path = _ticket_path(home, ticket)
    for other in path.parent.iterdir():
        try:
            if time.time() - other.stat().st_mtime >= TICKET_SECONDS:
                other.unlink()
        except FileNotFoundError:
            continue  # It was used, or another process removed it.
    path.touch(mode=0o600)
    return ticket


def redeem_ticket(home: Home, ticket: str) -> bool:
    """Whether the ticket is good; it is good once."""
    path = _ticket_path(home, ticket)
    try:
        age = time.time() - path.stat().st_mtime
        path.unlink()  # Of two that come at once, one fails here.
    except FileNotFoundError:
        return False
    return age < TICKET_SECONDS


def cookie_value(secret: str) -> str:
    """What the cookie of a browser that came with a ticket holds."""
    return hmac.new(secret.encode(), b"the page of the home's Prefect server", "sha256").hexdigest()


def _ticket_path(home: Home, ticket: str) -> Path:
    folder = home.folder("prefect") / "tickets"
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder / hashlib.sha256(ticket.encode()).hexdigest()
