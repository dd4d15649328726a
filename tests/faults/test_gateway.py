"""The home's Prefect server answers its owner, and nobody else on loopback."""

import asyncio
import base64
import json
import os
import stat
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from flows.services.credentials import api_secret, cookie_value, issue_ticket, redeem_ticket
from flows.services.gateway import ENTER, Gateway
from flows.services.prefect_server import SERVER
from tasks.home import Home

pytestmark = pytest.mark.faults

PORT = 4321
OWN = f"http://127.0.0.1:{PORT}"


async def application(scope: Any, receive: Any, send: Any) -> None:
    """Stands for Prefect: says what it was asked, and with which rights."""
    headers = {name: value.decode() for name, value in scope["headers"]}
    body = {"auth": "BASIC", "path": scope["path"], "rights": headers.get(b"authorization")}
    content = json.dumps(body).encode()
    length = (b"content-length", str(len(content)).encode())
    await send({"type": "http.response.start", "status": 200, "headers": [length]})
    await send({"type": "http.response.body", "body": content})


class Browser:
    """Sends requests to a gateway, and remembers its cookies."""

    def __init__(self, home: Home) -> None:
        self.secret = api_secret(home)
        self.gateway = Gateway(application, home, self.secret, PORT)
        self.cookies = httpx.Cookies()

    def __call__(self, path: str, method: str = "GET", **headers: str) -> httpx.Response:
        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(self.gateway)
            async with httpx.AsyncClient(
                transport=transport, base_url=OWN, cookies=self.cookies
            ) as client:
                named = {name.replace("_", "-"): value for name, value in headers.items()}
                answer = await client.request(method, path, headers=named)
                self.cookies = client.cookies
                return answer

        return asyncio.run(ask())


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


@pytest.fixture
def browser(home: Home) -> Browser:
    return Browser(home)


def rights(secret: str) -> str:
    return "Basic " + base64.b64encode(secret.encode()).decode()


def test_a_link_opens_the_page_once_and_its_cookie_stands_for_the_secret(
    home: Home, browser: Browser
) -> None:
    assert browser("/").status_code == 401
    ticket = issue_ticket(home)
    entered = browser(f"{ENTER}{ticket}")
    assert entered.status_code == 200
    cookie = entered.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    assert browser.secret not in entered.text + cookie
    assert browser("/api/flows/count").json()["rights"] == rights(browser.secret)
    # A password that the page remembers from another server does not count.
    other = browser("/api/flows/count", authorization=rights("a:b"))
    assert other.json()["rights"] == rights(browser.secret)
    # The page has nobody to ask for a password.
    assert browser("/ui-settings").json()["auth"] is None
    # The same link again: known to this browser, of no use to another.
    assert browser(f"{ENTER}{ticket}").status_code == 200
    stranger = Browser(home)(f"{ENTER}{ticket}")
    assert stranger.status_code == 403
    assert "rlhf ui" in stranger.text
    assert "set-cookie" not in stranger.headers


@pytest.mark.parametrize("cookie", ["", "0" * 64, '"', "x; $=;"])
def test_without_the_cookie_no_rights_are_given(browser: Browser, cookie: str) -> None:
    headers = {"cookie": f"rlhf-prefect-{PORT}={cookie}"}
    assert browser("/runs", **headers).status_code == 401
    assert browser("/api/flows/count", **headers).json()["rights"] is None


@pytest.mark.parametrize(
    "host", ["evil.example", f"evil.example:{PORT}", "127.0.0.1", "127.0.0.1:1", "", "0.0.0.0"]
)
def test_a_foreign_host_is_refused(browser: Browser, host: str) -> None:
    for path in ("/", "/api/health", f"{ENTER}x"):
        assert browser(path, host=host).status_code == 403


@pytest.mark.parametrize("host", [f"localhost:{PORT}", f"[::1]:{PORT}"])
def test_every_name_of_loopback_is_its_own(browser: Browser, host: str) -> None:
    assert browser("/api/health", host=host).status_code == 200


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:1"])
def test_a_foreign_origin_is_refused_whatever_it_bears(
    home: Home, browser: Browser, origin: str
) -> None:
    browser(f"{ENTER}{issue_ticket(home)}")
    for method in ("GET", "POST", "DELETE", "OPTIONS"):
        answer = browser("/api/flow_runs/x", method, origin=origin)
        assert answer.status_code == 403
        assert not [name for name in answer.headers if name.startswith("access-control")]
    assert browser("/api/flow_runs/x", "DELETE", origin=OWN).status_code == 200


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_another_page_cannot_use_the_cookie(home: Home, browser: Browser, site: str) -> None:
    browser(f"{ENTER}{issue_ticket(home)}")
    assert browser("/api/flow_runs/x", sec_fetch_site=site).status_code == 403
    assert browser("/api/flow_runs/x", sec_fetch_site="same-origin").status_code == 200


def test_the_secret_is_its_owners_alone_and_the_same_for_all(home: Home) -> None:
    secret = api_secret(home)
    path = home.folder("prefect") / "secret"
    assert secret == path.read_text() == api_secret(home)
    assert len(secret) > 40
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [p.name for p in path.parent.iterdir()] == ["secret"]
    assert cookie_value(secret) not in secret


def test_a_ticket_is_written_as_a_digest_and_grows_old(home: Home) -> None:
    ticket = issue_ticket(home)
    (path,) = (home.folder("prefect") / "tickets").iterdir()
    assert ticket not in path.name + path.read_text()
    yesterday = time.time() - 25 * 3600
    os.utime(path, (yesterday, yesterday))
    assert not redeem_ticket(home, ticket)
    assert not redeem_ticket(home, "../secret")


def test_tickets_that_nobody_used_are_removed_when_they_are_old(home: Home) -> None:
    issue_ticket(home)
    (path,) = (home.folder("prefect") / "tickets").iterdir()
    yesterday = time.time() - 25 * 3600
    os.utime(path, (yesterday, yesterday))
    first, second = issue_ticket(home), issue_ticket(home)
    assert not path.exists()
    assert redeem_ticket(home, first)
    assert redeem_ticket(home, second)


def test_the_server_of_a_home_asks_everybody_for_its_secret(shared_home: Path) -> None:
    home = Home(shared_home)
    api = SERVER.address(home)
    assert api is not None
    secret = {"Authorization": rights(api_secret(home))}
    run = f"{api}/flow_runs/01a214fb-9c63-7cc5-8708-6aefb4f204f8"
    assert httpx.delete(run).status_code == 401
    assert httpx.delete(run, headers={"Authorization": rights("rlhf:x")}).status_code == 401
    assert httpx.delete(run, headers=secret).status_code == 404
    foreign = httpx.get(f"{api}/health", headers={"Origin": "http://evil.example"})
    assert foreign.status_code == 403
    assert "access-control-allow-origin" not in foreign.headers
    assert httpx.get(f"{api}/health", headers={"Host": "evil.example"}).status_code == 403

    with httpx.Client(base_url=api.removesuffix("/api")) as browser:
        assert browser.get("/dashboard").status_code == 401
        assert browser.get(f"{ENTER}{issue_ticket(home)}").status_code == 200
        assert browser.get("/ui-settings").json()["auth"] is None
        assert "<html" in browser.get("/", follow_redirects=True).text
        assert browser.post("/api/flows/count", json={}).status_code == 200
