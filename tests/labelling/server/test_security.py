"""Each rule that keeps out who should not be in."""

import json
import re
import socket
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from rlhf_core.errors import ConfigurationError
from rlhf_core.labelling.server import EnvironmentClips, ServerSettings, serving, with_secret
from rlhf_core.labelling.store import Gold
from tests.labelling.server.campaigns import publish
from tests.labelling.server.conftest import Site, answer_to, items
from tests.labelling.server.processes import serving_process
from tests.labelling.server.serve_folder import SECRET

pytestmark = pytest.mark.faults

CHANGES = [
    ("POST", "/api/next", {"count": 1}),
    ("POST", "/api/answers", {}),
    ("POST", "/api/play/start", {"assignment": "0" * 32}),
    ("POST", "/api/play/step", {"session": "x", "action": 0}),
    ("POST", "/api/play/end", {"session": "x"}),
]
OWNER_CHANGES = [
    ("POST", "/api/owner/logout", None),
    ("POST", "/api/owner/campaigns/1/pause", {}),
    ("POST", "/api/owner/campaigns/1/open", {}),
    ("POST", "/api/owner/campaigns/1/close", {}),
    ("POST", "/api/owner/campaigns/1/extend", {"hours": 1}),
    ("POST", "/api/owner/campaigns/1/invites", {"name": "x", "uses": 1, "hours": 1}),
    ("DELETE", "/api/owner/campaigns/1/invites/1", None),
    ("POST", "/api/owner/campaigns/1/annotators/0/active", {"active": False}),
]
OWNER_READS = [
    "/api/owner/session", "/api/owner/campaigns", "/api/owner/campaigns/1",
    "/api/owner/campaigns/1/labels.jsonl", "/api/owner/campaigns/1/labels.parquet",
    "/api/owner/campaigns/1/audit.jsonl", "/api/owner/openapi.json",
]  # fmt: skip


def error_of(response: httpx.Response) -> str:
    said = response.json()
    assert set(said) == {"error"}
    assert len(said["error"]) > 5
    sentence: str = said["error"]
    return sentence


# Sessions and tokens


def test_a_forged_invitation_and_a_forged_session_are_refused(site: Site) -> None:
    client = site.client()
    joined = client.post("/api/join", json={"token": "f" * 32, "name": "Eve"})
    assert joined.status_code == 404
    assert error_of(joined) == "This invitation does not exist"
    assert "set-cookie" not in joined.headers
    client.cookies.set("rlhf-annotator", "f" * 43)
    for path in ("/api/session", "/api/progress", f"/api/items/{'0' * 32}"):
        assert client.get(path).status_code == 401
    assert client.post("/api/next", json={"count": 1}).status_code == 401
    assert client.post("/api/answers", json=answer_to({"assignment": "0" * 32})).status_code == 401


def test_each_change_needs_the_token_of_its_session(site: Site) -> None:
    client, other = site.annotator("Ada"), site.annotator("Bob")
    for method, path, body in CHANGES:
        for token in (None, "", "0" * 64, other.headers["X-CSRF-Token"]):
            headers = {} if token is None else {"X-CSRF-Token": token}
            plain = site.client()
            plain.cookies = client.cookies
            response = plain.request(method, path, json=body, headers=headers)
            assert response.status_code == 403, path
            assert "token" in error_of(response)
    assert len(items(client)) == 3


def test_each_change_of_the_owner_needs_the_token(site: Site) -> None:
    owner = site.owner()
    site.invite()
    plain = site.client()
    plain.cookies = owner.cookies
    for method, path, body in OWNER_CHANGES:
        assert plain.request(method, path, json=body).status_code == 403, path
    assert site.store.campaign(1).status == "open"
    assert not site.store.invites(1)[0].revoked
    assert owner.get("/api/owner/session").status_code == 200


def test_nothing_of_the_owners_works_for_annotators_and_strangers(site: Site) -> None:
    annotator, stranger = site.annotator(), site.client()
    stranger.cookies.set("rlhf-owner", "x.y")
    annotator.cookies.set("rlhf-owner", annotator.cookies["rlhf-annotator"])
    for client in (annotator, stranger):
        for path in OWNER_READS:
            assert client.get(path).status_code == 401, path
        for method, path, body in OWNER_CHANGES:
            assert client.request(method, path, json=body).status_code == 401, path
    assert site.store.campaign(1).status == "open"


def test_an_annotators_session_signed_as_the_owners_is_none(site: Site) -> None:
    owner, annotator = site.owner(), site.annotator()
    signature = owner.cookies["rlhf-owner"].partition(".")[2]
    eve = site.client()
    eve.cookies.set("rlhf-owner", f"{annotator.cookies['rlhf-annotator']}.{signature}")
    assert eve.get("/api/owner/session").status_code == 401


def test_another_secret_ends_the_owners_sessions(site: Site, site_of: Any) -> None:
    from rlhf_core.labelling.server import create_app

    owner = site.owner()
    settings = ServerSettings(
        secret=SecretStr("another secret of the owner"), cache=site.folder / "clips"
    )
    site.app = create_app(site.store, EnvironmentClips(), settings)
    later = site.client()
    later.cookies = owner.cookies
    assert later.get("/api/owner/session").status_code == 401


def test_the_owner_signs_out_for_good(site: Site) -> None:
    owner = site.owner()
    copied = site.client()
    copied.cookies.set("rlhf-owner", owner.cookies["rlhf-owner"])
    assert copied.get("/api/owner/session").status_code == 200
    assert owner.post("/api/owner/logout").status_code == 200
    assert "rlhf-owner" not in owner.cookies
    assert copied.get("/api/owner/session").status_code == 401


def test_cookies_cannot_be_read_by_scripts_nor_sent_by_other_sites(site_of: Any) -> None:
    site = site_of()
    client = site.client()
    set_by = [
        client.post("/api/join", json={"token": site.invite(), "name": "Ada"}),
        client.post("/api/owner/login", json={"secret": SECRET}),
    ]
    for response in set_by:
        cookie = response.headers["set-cookie"].lower()
        assert "httponly" in cookie
        assert "samesite=strict" in cookie
        assert "path=/" in cookie
        assert "domain" not in cookie
        assert "secure" not in cookie
    behind = site_of(public_url="https://labels.example.org")
    client = behind.client("https://labels.example.org")
    cookie = client.post("/api/owner/login", json={"secret": SECRET}).headers["set-cookie"]
    assert cookie.startswith("__Host-rlhf-owner=")
    assert "; Secure" in cookie
    assert "max-age" in client.get("/label").headers["strict-transport-security"]


def test_a_single_use_invitation_is_used_once_and_only_by_joining(site: Site) -> None:
    token = site.invite(uses=1)
    first, second = site.client(), site.client()
    for _ in range(3):
        assert first.get(f"/join/{token}").status_code == 200
    sent = {"token": token, "name": "Ada"}
    assert first.post("/api/join", json=sent).json()["annotator"]["number"] == 0
    again = first.post("/api/join", json=sent)
    assert again.status_code == 200
    assert "set-cookie" not in again.headers
    refused = second.post("/api/join", json=sent)
    assert refused.status_code == 410
    assert "used already" in error_of(refused)
    assert len(site.store.annotators(1)) == 1


# Ownership


def test_nobody_sees_or_answers_the_items_of_another(site_of: Any) -> None:
    site = site_of({"comparison": 1})
    ada, bob = site.annotator("Ada"), site.annotator("Bob")
    (item,) = items(ada)
    assert items(bob) == []
    assert bob.get(f"/api/items/{item['assignment']}").status_code == 404
    assert bob.post("/api/answers", json=answer_to(item)).status_code == 404
    assert bob.get(item["clips"][0]["url"]).status_code == 404
    assert site.client().get(item["clips"][0]["url"]).status_code == 401
    assert ada.get(item["clips"][0]["url"]).status_code == 200
    (question,) = site.store.questions(1)
    by_question = f"/clips/{question.identifier}/0"
    assert ada.get(by_question).status_code == 404
    assert site.client().get(by_question).status_code == 401
    assert site.owner().get(by_question).status_code == 200
    assert site.store.answers(1) == []


def test_nobody_plays_on_for_another(site_of: Any) -> None:
    site = site_of({"demonstration": 2})
    ada, bob = site.annotator("Ada"), site.annotator("Bob")
    (mine,), (other,) = items(ada, 1), items(bob, 1)
    begun = ada.post("/api/play/start", json={"assignment": mine["assignment"]}).json()
    name = begun["session"]
    assert bob.post("/api/play/start", json={"assignment": mine["assignment"]}).status_code == 404
    assert bob.post("/api/play/step", json={"session": name, "action": 0}).status_code == 409
    assert bob.get(begun["frame_url"]).status_code == 409
    assert bob.post("/api/play/end", json={"session": name}).status_code == 409
    assert ada.post("/api/play/step", json={"session": name, "action": 2}).json()["steps"] == 1
    assert ada.post("/api/play/end", json={"session": name}).status_code == 200
    stolen = answer_to(other, answer={"episode": name})
    assert bob.post("/api/answers", json=stolen).status_code == 422


def test_an_answer_that_is_sent_again_counts_once(site: Site) -> None:
    client = site.annotator()
    item = items(client)[0]
    first = client.post("/api/answers", json=answer_to(item))
    assert first.status_code == 201
    for _ in range(3):
        again = client.post("/api/answers", json=answer_to(item, answer={"choice": "right"}))
        assert again.status_code == 200
        assert again.json() == first.json()
    (stored,) = site.store.answers(1)
    assert stored.answer == {"choice": "left"}
    replayed = site.annotator("Eve").post("/api/answers", json=answer_to(item))
    assert replayed.status_code == 404


def test_a_key_of_another_item_is_a_conflict(site: Site) -> None:
    client = site.annotator()
    first, second, _ = items(client)
    assert client.post("/api/answers", json=answer_to(first)).status_code == 201
    assert client.post("/api/answers", json=answer_to(second)).status_code == 409


def test_test_items_look_like_all_others(site_of: Any) -> None:
    site = site_of({"comparison": 3})
    gold = Gold("comparison", '{"kind":"comparison"}', (0, 1), {"choice": "left"}, "It is nearer.")
    site.campaign = publish(
        site.store, site.folder, {"comparison": 9}, key="tested", gold=[gold], gold_share=0.5
    )
    client = site.annotator()
    offered = items(client, 10)
    stages = [one.stage for one in site.store.questions(site.campaign.id)]
    assert sorted(stages) == ["gold"] + ["work"] * 9
    assert len(offered) == 10
    for item in offered:
        assert item["stage"] == "work"
        assert re.fullmatch("[0-9a-f]{32}", item["question"])
        for place, clip in enumerate(item["clips"]):
            assert clip["url"] == f"/clips/{item['assignment']}/{place}"
        assert {*item} == {
            "assignment", "question", "index", "stage", "form", "settings", "clips",
            "lease_until", "answer",
        }  # fmt: skip
        assert "left" not in json.dumps(item)
    answered = [client.post("/api/answers", json=answer_to(one, f"key-{one['index']:05}"))
                for one in offered]  # fmt: skip
    assert all(one.json()["feedback"] is None for one in answered)
    assert {one.json()["counted"] for one in answered} == {True}


def test_a_claimed_address_changes_no_rate(site_of: Any) -> None:
    site = site_of()
    settings = ServerSettings(port=0, secret=SecretStr(SECRET), cache=site.folder / "clips")
    with serving(site.store, EnvironmentClips(), settings) as address:
        statuses = [
            httpx.post(
                f"{address.url}/api/owner/login",
                json={"secret": "guess"},
                headers={"X-Forwarded-For": f"192.0.2.{n}"},
            ).status_code
            for n in range(10)
        ]
    assert statuses == [401] * 8 + [429] * 2


# Names, origins, methods


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:8010", "localhost.evil.example", "127.0.0.1.nip.io", "", "a b",
     "user@localhost", "localhost/x", "localhost:x"],
)  # fmt: skip
def test_other_names_are_not_answered(site: Site, host: str) -> None:
    client = site.client()
    for path in ("/label", "/api/session", "/owner", "/static/api.js"):
        assert client.get(path, headers={"Host": host}).status_code == 421
    sent = {"token": site.invite(), "name": "Ada"}
    assert client.post("/api/join", json=sent, headers={"Host": host}).status_code == 421


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:99", "127.0.0.1:8010", "[::1]:8010"])
def test_own_names_and_numbers_are_answered(site: Site, host: str) -> None:
    assert site.client().get("/label", headers={"Host": host}).status_code == 200


def test_behind_a_proxy_the_public_name_is_answered(site_of: Any) -> None:
    site = site_of(public_url="https://Labels.example.org")
    client = site.client("https://labels.example.org")
    assert client.get("/label").status_code == 200
    headers = {"Origin": "https://labels.example.org"}
    sent = {"token": site.invite(), "name": "Ada"}
    assert client.post("/api/join", json=sent, headers=headers).status_code == 200
    plain = {"Origin": "http://labels.example.org"}
    assert client.post("/api/join", json=sent, headers=plain).status_code == 403


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "http://localhost:5000"},
        {"Origin": "https://localhost"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "http://localhost", "Sec-Fetch-Site": "cross-site"},
    ],
)
def test_pages_of_others_change_nothing(site: Site, headers: dict[str, str]) -> None:
    client = site.annotator()
    item = items(client)[0]
    sent = {"token": site.invite(), "name": "Eve"}
    for path, body in [
        ("/api/answers", answer_to(item)), ("/api/join", sent),
        ("/api/owner/login", {"secret": SECRET}),
    ]:  # fmt: skip
        response = client.post(path, json=body, headers=headers)
        assert response.status_code == 403, path
        assert "Only pages of this server" in error_of(response)
    assert site.store.answers(1) == []
    assert len(site.store.annotators(1)) == 1


def test_own_pages_may_call(site: Site) -> None:
    client = site.annotator()
    headers = {"Origin": "http://localhost", "Sec-Fetch-Site": "same-origin"}
    item = items(client)[0]
    assert client.post("/api/answers", json=answer_to(item), headers=headers).status_code == 201


def test_links_from_other_sites_open_the_page(site: Site) -> None:
    headers = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    assert site.client().get("/join/token", headers=headers).status_code == 200
    assert site.client().get("/api/session", headers=headers).status_code == 403


# Headers


@pytest.mark.parametrize(
    "path", ["/label", "/owner", "/static/api.js", "/api/session", "/nothing", "/api/owner/session"]
)
def test_every_answer_carries_the_headers(site: Site, path: str) -> None:
    headers = site.client().get(path).headers
    policy = headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'; ")
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["x-frame-options"] == "DENY"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    cached = "no-cache" if path.startswith("/static/") else "no-store"
    assert headers["cache-control"] == cached
    assert "server" not in headers


def test_pages_hold_no_inline_script_or_style() -> None:
    from rlhf_core.labelling.server.pages import read_pages

    for name, file in read_pages().files.items():
        text = file.content.decode()
        if name.endswith(".html"):
            assert "style=" not in text
            assert "<style" not in text
            assert "<script>" not in text
            assert " on" + "click" not in text
        if name.endswith(".js"):
            assert "innerHTML" not in text
            assert "eval(" not in text
            assert "new Function" not in text


def test_strangers_get_no_description_of_the_interface(site: Site) -> None:
    client = site.client()
    for path in ("/docs", "/redoc", "/openapi.json"):
        assert client.get(path).status_code == 404
    described = site.owner().get("/api/owner/openapi.json")
    assert described.status_code == 200
    assert "/api/answers" in described.json()["paths"]


# Sizes


def test_large_bodies_are_refused_whole_and_in_chunks(site_of: Any) -> None:
    site = site_of(limits={"body_bytes": 2000})
    client = site.annotator()
    large = json.dumps({"count": 1, "x": "y" * 3000}).encode()

    def chunks() -> Iterator[bytes]:
        for start in range(0, len(large), 100):
            yield large[start : start + 100]

    for content in (large, chunks()):
        response = client.post("/api/next", content=content)
        assert response.status_code == 413
        assert "2000 bytes" in error_of(response)
    for length in ("-5", "x", "9" * 30):
        response = client.post("/api/next", content=b"{}", headers={"Content-Length": length})
        assert response.status_code == 413
    assert client.post("/api/next", json={"count": 1}).status_code == 200


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[" * 100_000, b"\xff\xfe", b'{"count": 1e999}', b'{"count": true}', b"[]",
     b'{"count": ' + b"9" * 5000 + b"}", b'{"count": 51}', b'{"count": 1, "more": 2}', b"null"],
)  # fmt: skip
def test_bodies_that_make_no_sense_are_refused_with_a_sentence(site: Site, body: bytes) -> None:
    client = site.annotator()
    headers = {"Content-Type": "application/json"}
    response = client.post("/api/next", content=body, headers=headers)
    assert response.status_code in (400, 422), response.text
    error_of(response)


@pytest.mark.parametrize(
    "changed",
    [
        {"assignment": "0" * 32}, {"assignment": "\x00" * 32}, {"assignment": "../" * 10},
        {"key": "\x00" * 8}, {"key": "a'; drop table label_answers; --"}, {"sequence": -1},
        {"sequence": 2**60}, {"seconds": -1}, {"seconds": 1e300}, {"events": [[0, "\x00"]]},
        {"events": [[0, "x" * 100]]}, {"events": [[0, "x"]] * 1001}, {"page_version": "\ud800"},
        {"answer": {}}, {"answer": {"choice": "up"}}, {"answer": {"choice": ["left"]}},
        {"answer": {"choice": "left", "more": 1}}, {"answer": {"value": 10**400}},
    ],
)  # fmt: skip
def test_answers_that_make_no_sense_are_refused(site: Site, changed: dict[str, Any]) -> None:
    client = site.annotator()
    body = json.dumps(answer_to(items(client)[0], **changed))
    response = client.post(
        "/api/answers", content=body, headers={"Content-Type": "application/json"}
    )
    assert response.status_code in (404, 422), response.text
    error_of(response)
    assert site.store.answers(1) == []


def test_a_body_that_never_ends_is_given_up(site: Site) -> None:
    settings = ServerSettings(
        port=0, secret=SecretStr(SECRET), cache=site.folder, limits={"body_seconds": 0.3}
    )
    with serving(site.store, EnvironmentClips(), settings) as address:
        port = int(address.url.rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
            connection.sendall(
                b"POST /api/join HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{"
            )
            begun = time.monotonic()
            said = connection.recv(4000)
            assert said.startswith(b"HTTP/1.1 408")
            assert time.monotonic() - begun < 15


# Paths


@pytest.mark.parametrize(
    "path",
    [
        "/static/../store/engine.py", "/static/..%2f..%2f..%2fpyproject.toml",
        "/static/%2e%2e/%2e%2e/__init__.py", "/static//etc/passwd", "/static/%2fetc%2fpasswd",
        "/static/views/../../../forms.py", "/static/..\\..\\forms.py", "/static/.", "/static/",
        "/static/views", "/static/annotator.html%00.js",
        "/clips/../labels.db/0", "/clips/..%2f..%2flabels.db/0", "/clips/%2e%2e/0",
        "/clips/aaaa/..%2f..%2f1", "/clips/aaaa/-1", "/clips/aaaa/99999999999999999999",
        "/clips/%00/0",
    ],
)  # fmt: skip
def test_paths_lead_nowhere_else(site: Site, path: str) -> None:
    settings = ServerSettings(port=0, secret=SecretStr(SECRET), cache=site.folder / "clips")
    with serving(site.store, EnvironmentClips(), settings) as address:
        port = int(address.url.rpartition(":")[2])
        # As it is: clients make such paths plain before they send them.
        with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
            lines = [f"GET {path} HTTP/1.1", "Host: localhost", "Connection: close", "", ""]
            connection.sendall("\r\n".join(lines).encode())
            said = b""
            while part := connection.recv(65536):
                said += part
    status = int(said.split()[1])
    assert status in (401, 404, 422), said
    assert b'{"error":' in said


def test_a_clip_beyond_the_question_is_not_there(site: Site) -> None:
    client = site.annotator()
    item = items(client)[0]
    assert client.get(f"/clips/{item['assignment']}/2").status_code == 404
    assert client.get(f"/clips/{item['assignment']}/1000").status_code == 404


# Rates


def test_secrets_cannot_be_tried_out(site: Site) -> None:
    client = site.client()
    statuses = [
        client.post("/api/owner/login", json={"secret": f"guess {n}"}).status_code
        for n in range(12)
    ]
    assert statuses == [401] * 8 + [429] * 4
    refused = client.post("/api/owner/login", json={"secret": SECRET})
    assert refused.status_code == 429
    assert 1 <= int(refused.headers["retry-after"]) <= 10
    # Another address is let through.
    other = site.client(address="192.0.2.1")
    assert other.post("/api/owner/login", json={"secret": SECRET}).status_code == 200


def test_all_addresses_together_try_few_secrets(site_of: Any) -> None:
    site = site_of(limits={"all_logins": {"per_second": 0.001, "burst": 5}})
    statuses = [
        site.client(address=f"192.0.2.{n}")
        .post("/api/owner/login", json={"secret": "guess"})
        .status_code
        for n in range(7)
    ]
    assert statuses == [401] * 5 + [429] * 2


def test_joining_and_calling_have_rates(site_of: Any) -> None:
    slow = {"per_second": 0.01, "burst": 6}
    site = site_of(limits={"join": slow})
    client = site.client()
    statuses = [
        client.post("/api/join", json={"token": "x", "name": "Eve"}).status_code for _ in range(8)
    ]
    assert statuses == [404] * 6 + [429] * 2

    site = site_of(limits={"session": slow})
    ada, bob = site.annotator("Ada"), site.annotator("Bob")
    assert [ada.get("/api/progress").status_code for _ in range(8)] == [200] * 6 + [429] * 2
    assert bob.get("/api/progress").status_code == 200

    site = site_of(limits={"address": slow})
    client = site.client()
    statuses = [client.get("/api/session").status_code for _ in range(8)]
    assert statuses == [401] * 6 + [429] * 2
    assert int(client.get("/label").headers["retry-after"]) > 1


def test_a_rate_comes_back_with_time() -> None:
    from rlhf_core.labelling.server.rates import RateLimit
    from rlhf_core.labelling.server.settings import Rate

    now = 0.0
    limit = RateLimit(Rate(per_second=2, burst=3), lambda: now)
    assert [limit.take("a") for _ in range(4)] == [0, 0, 0, 0.5]
    assert limit.take("b") == 0
    now = 0.5
    assert limit.take("a") == 0
    assert limit.take("a") == 0.5
    now = 100.0
    assert [limit.take("a") for _ in range(4)] == [0, 0, 0, 0.5]


# Secrets


@pytest.mark.parametrize(
    "settings",
    [
        {"host": "0.0.0.0"}, {"host": "::"}, {"host": "192.0.2.1"}, {"host": "labels.local"},
        {"public_url": "https://labels.example.org"},
        {"host": "0.0.0.0", "secret": "short"}, {"secret": "too short"},
    ],
)  # fmt: skip
def test_without_a_secret_nobody_else_is_served(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="at least 16 characters, in RLHF_LABEL_SECRET"):
        with_secret(ServerSettings(**settings), {})


def test_the_secret_is_an_argument_a_variable_or_random_on_this_machine() -> None:
    public = ServerSettings(host="0.0.0.0")
    given = with_secret(public, {"RLHF_LABEL_SECRET": "s" * 16})
    assert given.secret.get_secret_value() == "s" * 16
    first, second = (with_secret(ServerSettings(), {}).secret.get_secret_value() for _ in "ab")
    assert len(first) == 32
    assert first != second
    assert "s" * 16 not in repr(given)


def test_no_secret_and_no_token_is_logged_or_told(site: Site) -> None:
    token, log = site.invite(), site.folder / "log.txt"
    with serving_process(site.folder, log) as url, httpx.Client(base_url=url) as client:
        client.get(f"/join/{token}")
        joined = client.post("/api/join", json={"token": token, "name": "Ada"})
        session = client.cookies["rlhf-annotator"]
        csrf = joined.json()["csrf"]
        client.headers["X-CSRF-Token"] = csrf
        told = [
            client.post("/api/owner/login", json={"secret": SECRET, "more": 1}),
            client.post("/api/owner/login", json={"secret": [SECRET]}),
            client.post("/api/join", json={"token": [token], "name": token}),
            client.get(f"/api/items/{token}"),
            client.post("/api/next", json={"count": token}),
        ]
        signed = client.post("/api/owner/login", json={"secret": SECRET})
        assert signed.status_code == 200
    written = log.read_text() + "".join(one.text for one in told)
    assert "selector" in log.read_text(), "the log is written"
    for secret in (SECRET, token, session, csrf):
        assert secret not in written


def test_a_failure_of_ours_tells_nothing(
    site: Site, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    client = site.annotator()

    inside = SECRET.upper()

    def failing(*_: Any) -> None:
        raise ValueError(inside)

    monkeypatch.setattr(site.store, "annotator_progress", failing)
    response = client.get("/api/progress")
    assert response.status_code == 500
    assert error_of(response) == "The server failed."
    assert "nosniff" in response.headers["x-content-type-options"]
    assert "ValueError" in caplog.text
    assert inside not in caplog.text + response.text
