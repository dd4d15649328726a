"""Who calls: sessions in cookies, and the token that each change must carry.

A session is a random token in a cookie that scripts cannot read; the store keeps its digest. The
token against forged calls (CSRF) is a digest of the session's, so that nothing else is stored. The
owner's cookie is signed with the owner's secret: a new secret ends all sessions of the old one.
"""

import hashlib
import hmac
from dataclasses import dataclass

from fastapi import Request, Response

from rlhf_core.labelling.server.origins import SAFE
from rlhf_core.labelling.server.refusals import Refusal
from rlhf_core.labelling.server.settings import ServerSettings
from rlhf_core.labelling.store import Annotator, LabelStore
from rlhf_core.labelling.store.annotators import SESSION_SECONDS

CSRF_HEADER = "X-CSRF-Token"


@dataclass(frozen=True)
class Caller:
    """An annotator who is signed in."""

    annotator: Annotator
    csrf: str


class Sessions:
    """Begins, checks and ends sessions."""

    def __init__(self, store: LabelStore, settings: ServerSettings) -> None:
        self._store, self._settings = store, settings
        self._secret = settings.secret.get_secret_value().encode()
        prefix = "__Host-" if settings.secure else ""
        self.annotator_cookie = f"{prefix}rlhf-annotator"
        self.owner_cookie = f"{prefix}rlhf-owner"

    def annotator(self, call: Request) -> Caller:
        """The annotator who calls.

        Raises:
            Refusal: nobody is signed in, or a change has no token.
        """
        known = self.known_annotator(call)
        if known is None:
            raise Refusal(401, "You are not signed in here; open the link that you were sent.")
        _check_csrf(call, known.csrf)
        return known

    def known_annotator(self, call: Request) -> Caller | None:
        """The annotator who calls, if one is signed in; does not look for a token."""
        token = call.cookies.get(self.annotator_cookie)
        found = self._store.annotator_of_session(token) if token else None
        return None if found is None or token is None else Caller(found, csrf_of(token))

    def owner(self, call: Request) -> str:
        """The token against forged calls of the owner who calls.

        Raises:
            Refusal: the owner is not signed in, or a change has no token.
        """
        if not self.is_owner(call):
            raise Refusal(401, "You are not signed in.")
        csrf = csrf_of(call.cookies[self.owner_cookie])
        _check_csrf(call, csrf)
        return csrf

    def is_owner(self, call: Request) -> bool:
        """Whether the owner calls; does not look for a token."""
        token, _, signature = call.cookies.get(self.owner_cookie, "").partition(".")
        signed = token.isascii() and _equal(signature, self._signature(token))
        return signed and self._store.is_owner_session(token)

    def begin_annotator(self, response: Response, token: str) -> str:
        """Give the cookie of a new session; returns its token against forged calls."""
        self._give(response, self.annotator_cookie, token, SESSION_SECONDS)
        return csrf_of(token)

    def begin_owner(self, response: Response, secret: str) -> str:
        """Sign the owner in; returns the session's token against forged calls.

        Raises:
            Refusal: the secret is another.
        """
        # Digests are compared, so that the time tells nothing, not even of the length.
        digests = [hashlib.sha256(s).digest() for s in (_bytes(secret), self._secret)]
        if not self._secret or not hmac.compare_digest(*digests):
            raise Refusal(401, "That secret is not right.")
        seconds = 3600 * self._settings.owner_hours
        token = self._store.begin_owner_session(seconds)
        cookie = f"{token}.{self._signature(token)}"
        self._give(response, self.owner_cookie, cookie, seconds)
        return csrf_of(cookie)

    def end_owner(self, call: Request, response: Response) -> None:
        """Sign the owner out."""
        self._store.end_session(call.cookies[self.owner_cookie].partition(".")[0])
        response.delete_cookie(
            self.owner_cookie, secure=self._settings.secure, httponly=True, samesite="strict"
        )

    def _signature(self, token: str) -> str:
        return hmac.new(self._secret, _bytes(token), hashlib.sha256).hexdigest()

    def _give(self, response: Response, name: str, value: str, seconds: float) -> None:
        response.set_cookie(
            name,
            value,
            max_age=int(seconds),
            secure=self._settings.secure,
            httponly=True,
            samesite="strict",
        )


def csrf_of(token: str) -> str:
    """The token against forged calls of a session."""
    return hmac.new(_bytes(token), b"rlhf-label csrf", hashlib.sha256).hexdigest()


def _check_csrf(call: Request, expected: str) -> None:
    if call.method not in SAFE and not _equal(call.headers.get(CSRF_HEADER, ""), expected):
        raise Refusal(403, "The page's token is missing or old; reload the page.")


def _equal(first: str, second: str) -> bool:
    return hmac.compare_digest(_bytes(first), _bytes(second))


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
