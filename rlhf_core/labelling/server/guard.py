"""What every call passes before it reaches a route: names, origins, rates and sizes.

The guard reads a body before the route does, so that one of any length or pace, in chunks or not,
costs no more than the limit.
"""

import asyncio
import hashlib
import logging
import traceback

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from rlhf_core.labelling.server.origins import origins_of
from rlhf_core.labelling.server.rates import RateLimit, retry_after
from rlhf_core.labelling.server.refusals import Refusal, refusal
from rlhf_core.labelling.server.settings import ServerSettings

log = logging.getLogger("rlhf.labelling")

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; "
    "media-src 'self' blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}


class Guard:
    """Lets through what an own page, or a program, may send."""

    def __init__(self, app: ASGIApp, settings: ServerSettings, cookies: tuple[str, ...]) -> None:
        """A guard.

        Args:
            app: what it guards.
            settings: of the server.
            cookies: names of those that carry a session.
        """
        self._app, self._settings, self._cookies = app, settings, cookies
        self._origins, limits = origins_of(settings), settings.limits
        self._address, self._session = RateLimit(limits.address), RateLimit(limits.session)
        self._login, self._logins = RateLimit(limits.login), RateLimit(limits.all_logins)
        self._join = RateLimit(limits.join)
        self._headers = dict(HEADERS)
        if settings.secure:
            self._headers["Strict-Transport-Security"] = "max-age=31536000"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one call."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return
        begun = False

        async def sending(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                self._complete(MutableHeaders(scope=message))
            await send(message)

        try:
            self._check(scope)
            body = await self._body(scope, receive)
        except Refusal as refused:
            answer = refusal(refused.status, refused.sentence, refused.headers)
            await answer(scope, receive, sending)
            return
        try:
            await self._app(scope, _replay(body, receive), sending)
        except Exception as error:
            # Without its text, which may repeat what was sent.
            lines = "".join(traceback.format_tb(error.__traceback__))
            log.error("%s\n%s", type(error).__name__, lines)
            if begun:
                raise
            await refusal(500, "The server failed.")(scope, receive, sending)

    def _complete(self, headers: MutableHeaders) -> None:
        for name, value in self._headers.items():
            headers[name] = value
        headers.setdefault("Cache-Control", "no-store")

    def _check(self, scope: Scope) -> None:
        headers = Headers(scope=scope)
        hosts = headers.getlist("host")
        if len(hosts) != 1 or not self._origins.answers_to(hosts[0]):
            raise Refusal(421, "The server is not known by this name.")
        path, method = scope["path"], scope["method"]
        if path.startswith(("/api/", "/clips/")):
            origin, site = headers.get("origin"), headers.get("sec-fetch-site")
            if not self._origins.may_call(method, hosts[0], origin, site):
                raise Refusal(403, "Only pages of this server may call it.")
        address = scope["client"][0] if scope.get("client") else ""
        self._count(self._address, address)
        for token in _cookies(headers, self._cookies):
            self._count(
                self._session, hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
            )
        if method == "POST" and path == "/api/owner/login":
            self._count(self._login, address)
            self._count(self._logins, "")
        if method == "POST" and path == "/api/join":
            self._count(self._join, address)

    def _count(self, limit: RateLimit, caller: str) -> None:
        wait = limit.take(caller)
        if wait:
            raise Refusal(429, "Too many calls; try again in a moment.", retry_after(wait))

    async def _body(self, scope: Scope, receive: Receive) -> bytes:
        most = self._settings.limits.body_bytes
        too_large = Refusal(413, f"The call is too large; {most} bytes are the most.")
        stated = Headers(scope=scope).get("content-length", "0")
        if not stated.isascii() or not stated.isdigit() or int(stated[:20]) > most:
            raise too_large
        parts, size = [], 0
        try:
            async with asyncio.timeout(self._settings.limits.body_seconds):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise Refusal(400, "The connection ended before the call did.")
                    parts.append(message.get("body", b""))
                    size += len(parts[-1])
                    if size > most:
                        raise too_large
                    if not message.get("more_body", False):
                        return b"".join(parts)
        except TimeoutError:
            raise Refusal(408, "The call took too long to arrive.") from None


def _replay(body: bytes, receive: Receive) -> Receive:
    """Give the body once, then what comes of the connection."""
    given = False

    async def receiving() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receiving


def _cookies(headers: Headers, names: tuple[str, ...]) -> list[str]:
    parsed = cookie_parser(headers.get("cookie", ""))
    return [parsed[name] for name in names if name in parsed]
