"""MLflow's page as `rlhf ui` serves it: readable on a phone, and without its assistant.

MLflow has no layout for narrow screens. One rule of style, put into the page as it is served, hides
the side bar there, so that names of runs and their results stand on the first screen; the path at
the top leads back. MLflow's assistant runs commands on this machine for whoever reaches the page:
what it answers to is refused, and its panel does not open by itself.
"""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

STYLE = "@media (max-width: 640px) { aside:has(~ main) { display: none !important } }"
SCRIPT = (
    "localStorage.setItem('mlflow.assistant.fab.autoOpenedOnFirstLoad_v1', 'true');"
    "localStorage.setItem('mlflow.assistant.panelOpen_v1', 'false')"
)
HEAD = f"<style>{STYLE}</style><script>{SCRIPT}</script>".encode()
END = b"</head>"
ASSISTANT = "/mlflow/assistant"
"""What the paths that MLflow's assistant answers to contain."""

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]


def adapted(application: Application) -> Application:
    """The same ASGI application, with style and script in its first page, without assistant."""
    from starlette.responses import PlainTextResponse

    async def answer(scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        path = scope["path"] if scope["type"] == "http" else ""
        if ASSISTANT in path:
            refusal = PlainTextResponse("MLflow's assistant is switched off here", 404)
            await refusal(scope, receive, send)
        else:
            await application(scope, receive, _adding(send) if path == "/" else send)

    return answer


def _adding(send: Send) -> Send:
    """Send a response once it is whole, with style and script in its head where it has one."""
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
        body = whole.replace(END, HEAD + END, 1)
        if body != whole:
            others = [pair for pair in start["headers"] if pair[0].lower() != b"content-length"]
            start["headers"] = [*others, (b"content-length", str(len(body)).encode())]
        await send(start)
        await send({"type": "http.response.body", "body": body})

    return collect
