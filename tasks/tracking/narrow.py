"""MLflow's page on a phone: without its side bar, which takes half of the width there.

MLflow has no layout for narrow screens. One rule of style, put into the page as it is served, lets
the names of runs and their results stand on the first screen; the path at the top leads back.
"""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

STYLE = (
    b"<style>@media (max-width: 640px) { aside:has(~ main) { display: none !important } }</style>"
)
END = b"</head>"

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]


def styled(application: Application) -> Application:
    """The same ASGI application, with the rule in its first page."""

    async def answer(scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        first = scope["type"] == "http" and scope["path"] == "/"
        await application(scope, receive, _adding(send) if first else send)

    return answer


def _adding(send: Send) -> Send:
    """Send a response once it is whole, with the rule in its head where it has one."""
    start: Message = {}
    parts: list[bytes] = []

    async def collect(message: Message) -> None:
        if message["type"] == "http.response.start":
            start.update(message)
            return
        parts.append(message.get("body", b""))
        if message.get("more_body"):
            return
        whole = b"".join(parts)
        body = whole.replace(END, STYLE + END, 1)
        if body != whole:
            others = [pair for pair in start["headers"] if pair[0].lower() != b"content-length"]
            start["headers"] = [*others, (b"content-length", str(len(body)).encode())]
        await send(start)
        await send({"type": "http.response.body", "body": body})

    return collect
