"""MLflow's page as it is served: style for phones, and no assistant."""

import asyncio
from typing import Any

import httpx

from tasks.tracking.adapted_page import HEAD, adapted


async def page(scope: Any, receive: Any, send: Any) -> None:
    """A page in two parts, whatever is asked for."""
    body = [b"<html><head>", b"</head></html>"]
    length = str(sum(map(len, body))).encode()
    headers = [(b"content-type", b"text/html"), (b"Content-Length", length)]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    if scope["method"] == "HEAD":
        await send({"type": "http.response.body", "body": b""})
        return
    await send({"type": "http.response.body", "body": body[0], "more_body": True})
    await send({"type": "http.response.body", "body": body[1]})


def ask(method: str, path: str) -> httpx.Response:
    async def one() -> httpx.Response:
        transport = httpx.ASGITransport(adapted(page))
        async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
            return await client.request(method, path)

    return asyncio.run(one())


def test_the_first_page_has_the_rule_and_its_new_length() -> None:
    answer = ask("GET", "/")
    assert answer.content == b"<html><head>" + HEAD + b"</head></html>"
    assert answer.headers.get_list("content-length") == [str(len(answer.content))]
    assert answer.headers["content-type"] == "text/html"


def test_everything_else_is_left_as_it_is() -> None:
    assert ask("GET", "/static-files/a.html").content == b"<html><head></head></html>"
    head = ask("HEAD", "/")
    assert (head.content, head.headers["content-length"]) == (b"", "26")


def test_what_the_assistant_answers_to_is_refused() -> None:
    for method in ("GET", "PUT", "POST"):
        assert ask(method, "/ajax-api/3.0/mlflow/assistant/config").status_code == 404
