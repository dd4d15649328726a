"""What stands before the home's Prefect server: who may come in, and with which rights.

Any web page that its user visits can send requests to loopback, and any process of the machine can.
So the gateway answers

    a foreign Host header               403 (a page that had its name resolved to loopback)
    a foreign Origin header             403, and no CORS header
    an API request without the secret   401, by Prefect itself
    a page request without the cookie   401, with a sentence that says how to get one

A link with a ticket, `/enter/TICKET`, gives a browser the cookie. It is of this server alone,
hidden from scripts and not sent along by other sites; a request that bears it gets the secret put
into its Authorization header here.
"""

import base64
import hmac
import json
from collections.abc import Awaitable, Callable, MutableMapping
from http.cookies import CookieError, SimpleCookie
from typing import Any

from flows.services.credentials import cookie_value, redeem_ticket
from tasks.home import Home

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

ENTER = "/enter/"
NO_COOKIE = (
    "This is the Prefect page of an rlhf home. It opens by the link that `rlhf ui` prints; "
    "each link works once."
)
# The page goes on by itself, in place of a redirect: a browser that came from another site would
# not send the new cookie along with one.
ENTERED = '<!doctype html><meta http-equiv="refresh" content="0;url=/"><a href="/">Go on</a>'


def local_hosts(port: int) -> frozenset[str]:
    """What a Host header may say."""
    return frozenset(f"{name}:{port}" for name in ("127.0.0.1", "localhost", "[::1]"))


class Gateway:
    """An ASGI application around another one, which must itself ask for the secret."""

    def __init__(self, application: Application, home: Home, secret: str, port: int) -> None:
        """A gateway.

        Args:
            application: Prefect's.
            home: where the tickets are.
            secret: the auth string that the application asks for.
            port: that the server listens on.
        """
        self._application = application
        self._home = home
        self._hosts = local_hosts(port)
        self._origins = {f"http://{host}" for host in self._hosts}
        self._cookie_name = f"rlhf-prefect-{port}"
        self._cookie = cookie_value(secret)
        self._authorization = b"Basic " + base64.b64encode(secret.encode())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, refuse, or hand on."""
        if scope["type"] not in ("http", "websocket"):
            await self._application(scope, receive, send)
            return
        headers = {name.lower(): value for name, value in scope["headers"]}
        text = {name: value.decode("latin-1") for name, value in headers.items()}
        if text.get(b"host") not in self._hosts:
            await _refuse(scope, send, 403, "Host header not allowed")
        elif b"origin" in text and text[b"origin"] not in self._origins:
            await _refuse(scope, send, 403, "Origin header not allowed")
        elif scope["type"] == "websocket":
            await self._application(scope, receive, send)
        else:
            await self._answer(scope, text, receive, send)

    async def _answer(
        self, scope: Scope, headers: dict[bytes, str], receive: Receive, send: Send
    ) -> None:
        path: str = scope["path"]
        known = self._has_cookie(headers)
        api = path == "/api" or path.startswith("/api/")
        if path.startswith(ENTER) and scope["method"] == "GET":
            if redeem_ticket(self._home, path.removeprefix(ENTER)):
                cookie = f"{self._cookie_name}={self._cookie}; Path=/; HttpOnly; SameSite=Strict"
                await _reply(send, 200, ENTERED, [(b"set-cookie", cookie.encode())])
            elif known:
                await _reply(send, 200, ENTERED)
            else:
                await _refuse(scope, send, 403, f"This link was used or is too old. {NO_COOKIE}")
        elif not known and not api:
            await _refuse(scope, send, 401, NO_COOKIE)
        elif known and api and not _is_own_request(headers):
            await _refuse(scope, send, 403, "the request comes from another page")
        elif known:
            rest = [(n, v) for n, v in scope["headers"] if n.lower() != b"authorization"]
            scope = {**scope, "headers": [*rest, (b"authorization", self._authorization)]}
            await self._hand_on(scope, receive, send)
        else:
            await self._application(scope, receive, send)

    def _has_cookie(self, headers: dict[bytes, str]) -> bool:
        try:
            cookie = SimpleCookie(headers.get(b"cookie", "")).get(self._cookie_name)
        except CookieError:
            return False
        return cookie is not None and hmac.compare_digest(
            cookie.value.encode(), self._cookie.encode()
        )

    async def _hand_on(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Call the application. Its page would ask for a password, which the cookie stands for."""
        if not scope["path"].endswith("/ui-settings"):
            await self._application(scope, receive, send)
            return
        plain = [(n, v) for n, v in scope["headers"] if n.lower() != b"accept-encoding"]
        began: list[Message] = []
        body = bytearray()

        async def collect(message: Message) -> None:
            if message["type"] == "http.response.start":
                began.append(message)
            else:
                body.extend(message.get("body", b""))

        await self._application({**scope, "headers": plain}, receive, collect)
        content = bytes(body)
        if began[0]["status"] == 200:
            content = json.dumps({**json.loads(content), "auth": None}).encode()
        length = (b"content-length", str(len(content)).encode())
        headers = [(n, v) for n, v in began[0]["headers"] if n.lower() != b"content-length"]
        await send({**began[0], "headers": [*headers, length]})
        await send({"type": "http.response.body", "body": content})


def _is_own_request(headers: dict[bytes, str]) -> bool:
    """Whether the browser says that our page, or the user, sent the request.

    Cookies do not tell ports apart: a page of another server on loopback would be let in by them.
    """
    return headers.get(b"sec-fetch-site", "none") in ("same-origin", "none")


async def _refuse(scope: Scope, send: Send, status: int, reason: str) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008, "reason": reason})
    else:
        await _reply(send, status, reason, kind="text/plain")


async def _reply(
    send: Send,
    status: int,
    text: str,
    headers: list[tuple[bytes, bytes]] | None = None,
    kind: str = "text/html",
) -> None:
    body = text.encode()
    fixed = [
        (b"content-type", f"{kind}; charset=utf-8".encode()),
        (b"content-length", str(len(body)).encode()),
        (b"cache-control", b"no-store"),
        (b"referrer-policy", b"no-referrer"),
        (b"x-content-type-options", b"nosniff"),
    ]
    await send({
        "type": "http.response.start", "status": status, "headers": [*fixed, *(headers or [])],
    })  # fmt: skip
    await send({"type": "http.response.body", "body": body})
