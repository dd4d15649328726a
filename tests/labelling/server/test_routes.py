"""What the pages call, from joining to downloads."""

import json
import socket
import threading
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr, ValidationError

from rlhf_core.demonstrations import Demonstrations
from rlhf_core.errors import ConfigurationError, StoreError
from rlhf_core.labelling.server import Address, EnvironmentClips, ServerSettings, serve, serving
from rlhf_core.labelling.server.serving import _listening
from rlhf_core.packing import unpack
from tests.labelling.server.campaigns import answered
from tests.labelling.server.conftest import Site, answer_to, items
from tests.labelling.server.serve_folder import SECRET


def test_an_annotator_joins_answers_and_sees_how_far_it_is(site_of: Any) -> None:
    site = site_of({"comparison": 5, "training": 2})
    client = site.annotator("Ada")
    session = client.get("/api/session").json()
    assert session["annotator"] == {"name": "Ada", "number": 0}
    assert session["csrf"] == client.headers["X-CSRF-Token"]
    assert len(session["page_version"]) == 12
    assert session["campaign"] == {
        "id": 1, "title": "Swing the pendulum up", "status": "open", "forms": ["comparison"],
        "instructions": "The pendulum should swing up and stand still at the top.",
        "training": 2, "answers_per_question": 1,
    }  # fmt: skip

    offered = client.post("/api/next", json={"count": 3}).json()
    assert offered["waiting"] is False
    first, second, third = offered["items"]
    assert [one["stage"] for one in offered["items"]] == ["training", "training", "work"]
    assert [one["index"] for one in offered["items"]] == [0, 1, 2]
    assert third["settings"] == {"kind": "comparison"}
    assert third["answer"] is None
    assert third["clips"][1] == {
        "view": "film", "frames": 26, "rate": 30.0, "seconds": pytest.approx(26 / 30),
        "alt": "Film of Pendulum-v1, 0.9 seconds.", "columns": 6,
        "url": f"/clips/{third['assignment']}/1",
    }  # fmt: skip
    again = client.post("/api/next", json={"count": 3}).json()
    assert [one["assignment"] for one in again["items"]] == [
        one["assignment"] for one in offered["items"]
    ]

    right = client.post("/api/answers", json=answer_to(first, "key-00001"))
    assert right.json()["feedback"] == {"correct": True, "text": "The left one is nearer."}
    wrong = answer_to(second, "key-00002", answer={"choice": "right"})
    assert client.post("/api/answers", json=wrong).json()["feedback"]["correct"] is False
    skip = answer_to(third, "key-00003", answer={"choice": "skip"}, seconds=4.0)
    assert client.post("/api/answers", json=skip).json() == {
        "receipt": 3, "counted": True, "late": False, "feedback": None,
    }  # fmt: skip
    progress = client.get("/api/progress").json()
    counts = {name: progress[name] for name in ("done", "skipped", "total", "remaining")}
    assert counts == {"done": 1, "skipped": 1, "total": 3, "remaining": 2}
    assert progress["training"] == {"done": 2, "total": 2}
    assert [one["state"] for one in progress["items"]] == ["answered", "answered", "skipped"]

    changed = answer_to(third, "key-00004", sequence=2)
    assert client.post("/api/answers", json=changed).json()["counted"] is True
    late = answer_to(third, "key-00005", sequence=0, answer={"choice": "right"})
    assert client.post("/api/answers", json=late).json()["counted"] is False
    item = client.get(f"/api/items/{third['assignment']}").json()
    assert item["answer"] == {"choice": "left"}


def test_nothing_is_offered_while_paused_and_answers_are_taken_even_so(site: Site) -> None:
    client, owner = site.annotator(), site.owner()
    (item,) = items(client, 1)
    assert owner.post("/api/owner/campaigns/1/pause", json={}).json() == {"status": "paused"}
    assert client.get("/api/session").json()["campaign"]["status"] == "paused"
    assert client.post("/api/next", json={}).json() == {"items": [], "waiting": False}
    assert client.post("/api/answers", json=answer_to(item)).status_code == 201
    assert owner.post("/api/owner/campaigns/1/open", json={}).json() == {"status": "open"}
    assert len(items(client, 5)) == 2


def test_the_moment_of_a_signal_is_told(site_of: Any) -> None:
    site = site_of({"signal": 1})
    (item,) = items(site.annotator())
    assert 0 <= item["settings"]["step"] < 25


def test_an_episode_is_stored_before_it_is_acknowledged(site_of: Any) -> None:
    site = site_of({"demonstration": 1}, price=2.0)
    client = site.annotator()
    (item,) = items(client)
    begun = client.post("/api/play/start", json={"assignment": item["assignment"]}).json()
    assert [one["key"] for one in begun["actions"]] == ["ArrowLeft", "ArrowDown", "ArrowRight"]
    assert (begun["mode"], begun["rate"], begun["idle"]) == ("rate", 15.0, 1)
    name = begun["session"]
    urls = {begun["frame_url"]}
    for step in range(1, 31):
        state = client.post("/api/play/step", json={"session": name, "action": 2}).json()
        assert state["steps"] == step
        urls.add(state["frame_url"])
    assert state["done"] is True
    assert len(urls) == 31
    frame = client.get(state["frame_url"])
    assert frame.headers["content-type"] == "image/webp"
    assert frame.headers["cache-control"] == "no-store"

    answer = answer_to(item, answer={"episode": name})
    assert client.post("/api/answers", json=answer).status_code == 422, "it is not handed in"
    stores = site.store.add_episode
    failures = ["once"]

    def failing(*arguments: Any) -> None:
        if failures:
            failures.pop()
            raise StoreError("the disk is full")
        stores(*arguments)

    site.store.add_episode = failing  # type: ignore[method-assign]
    assert client.post("/api/play/end", json={"session": name}).status_code == 503
    for _ in range(2):
        assert client.post("/api/play/end", json={"session": name}).json() == {"episode": name}
    assert client.post("/api/answers", json=answer).status_code == 201
    batch = site.store.batches(1)[0]
    (taken,) = site.store.collect(batch)
    played = unpack(taken.episode or b"", Demonstrations)
    assert played.lengths.tolist() == [30]
    assert played.actions.ravel().tolist() == [2.0] * 30
    assert played.cost.tolist() == [2.0]


def test_each_annotator_plays_one_episode_and_all_together_few(site_of: Any) -> None:
    site = site_of({"demonstration": 3}, limits={"plays": 2, "play_idle_seconds": 0.2})
    people = [site.annotator(name) for name in ("Ada", "Bob", "Cy")]
    own = [items(one, 1)[0]["assignment"] for one in people]

    def start(number: int) -> httpx.Response:
        response: httpx.Response = people[number].post(
            "/api/play/start", json={"assignment": own[number]}
        )
        return response

    first = start(0).json()["session"]
    second = start(0).json()["session"]
    gone = people[0].post("/api/play/step", json={"session": first, "action": 0})
    assert gone.status_code == 409
    assert gone.json() == {"error": "This episode is over; begin it again"}
    assert people[0].post("/api/play/step", json={"session": second, "action": 0}).is_success
    assert start(1).is_success
    statuses = []
    for _ in range(50):
        statuses.append(start(2).status_code)
        if statuses[-1] == 200:
            break
        threading.Event().wait(0.05)
    assert statuses[-1] == 200, "idle episodes are given up"
    late = people[0].post("/api/play/step", json={"session": second, "action": 0})
    assert late.status_code == 409


def test_only_demonstrations_are_played(site: Site) -> None:
    client = site.annotator()
    (item,) = items(client, 1)
    response = client.post("/api/play/start", json={"assignment": item["assignment"]})
    assert response.status_code == 409
    assert response.json() == {"error": "This item is not answered by playing."}


def test_the_owner_sees_the_campaign(site_of: Any) -> None:
    site = site_of({"comparison": 3}, answers_per_question=2, price=0.5)
    answered(site.store, site.campaign, "Ada", ["left", "left", "skip"])
    answered(site.store, site.campaign, "Bob", ["left", "right"])
    owner = site.owner()
    (listed,) = owner.get("/api/owner/campaigns").json()
    assert (listed["questions"], listed["complete"], listed["answers"]) == (3, 2, 5)
    assert listed["annotators"] == 2
    detail = owner.get("/api/owner/campaigns/1").json()
    assert [one["name"] for one in detail["annotators"]] == ["Ada", "Bob"]
    assert detail["agreement"]["pairs"] == 2
    assert detail["agreement"]["share"] == 0.5
    (disagreement,) = detail["disagreements"]
    assert disagreement["answers"] == [
        {"annotator": 0, "answer": {"choice": "left"}},
        {"annotator": 1, "answer": {"choice": "right"}},
    ]
    assert owner.get(disagreement["clips"][0]["url"]).status_code == 200
    assert owner.get("/api/owner/campaigns/2").status_code == 404


def test_the_owner_makes_and_revokes_invites(site: Site) -> None:
    owner = site.owner()
    made = owner.post(
        "/api/owner/campaigns/1/invites", json={"name": "Bob", "uses": None, "hours": 1}
    )
    assert made.status_code == 201
    url = made.json()["url"]
    assert url.startswith("http://localhost/join/")
    token = url.rpartition("/")[2]
    assert token not in owner.get("/api/owner/campaigns/1").text
    assert token not in owner.get("/api/owner/campaigns/1/audit.jsonl").text
    bob = site.client()
    assert bob.post("/api/join", json={"token": token, "name": "Bob"}).status_code == 200
    number = made.json()["id"]
    assert owner.delete(f"/api/owner/campaigns/1/invites/{number}").status_code == 200
    assert owner.delete("/api/owner/campaigns/1/invites/99").status_code == 404
    eve = site.client().post("/api/join", json={"token": token, "name": "Eve"})
    assert eve.status_code == 410


def test_behind_a_proxy_invites_have_the_public_address(site_of: Any) -> None:
    site = site_of(public_url="https://labels.example.org")
    client = site.client("https://labels.example.org")
    csrf = client.post("/api/owner/login", json={"secret": SECRET}).json()["csrf"]
    made = client.post(
        "/api/owner/campaigns/1/invites", json={"name": "Bob"}, headers={"X-CSRF-Token": csrf}
    )
    assert made.json()["url"].startswith("https://labels.example.org/join/")


def test_the_owner_downloads(site: Site) -> None:
    owner = site.owner()
    none = owner.get("/api/owner/campaigns/1/labels.jsonl")
    assert none.status_code == 422
    answered(site.store, site.campaign, "Ada", ["left", "right", "equal"])
    lines = owner.get("/api/owner/campaigns/1/labels.jsonl")
    assert lines.headers["content-disposition"] == 'attachment; filename="labels-1.jsonl"'
    assert len([json.loads(line) for line in lines.text.splitlines()]) == 4, "a header and labels"
    table = owner.get("/api/owner/campaigns/1/labels.parquet")
    assert table.content[:4] == table.content[-4:] == b"PAR1"
    audit = [
        json.loads(line)["action"]
        for line in owner.get("/api/owner/campaigns/1/audit.jsonl").text.splitlines()
    ]
    assert audit == ["campaign opened", "batch published", "invite made", "joined"]
    assert owner.get("/api/owner/campaigns/9/audit.jsonl").status_code == 404


def test_pages_are_read_anew_only_when_they_changed(site: Site) -> None:
    client = site.client()
    response = client.get("/static/forms/comparison.js")
    assert response.headers["content-type"] == "text/javascript; charset=utf-8"
    again = client.get(
        "/static/forms/comparison.js", headers={"If-None-Match": response.headers["etag"]}
    )
    assert (again.status_code, again.content) == (304, b"")
    assert client.get("/static/style.css").headers["content-type"] == "text/css; charset=utf-8"
    assert client.get("/static/icon.svg").headers["content-type"] == "image/svg+xml"


# Serving


def test_a_taken_port_is_told(site: Site) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        settings = ServerSettings(port=port, cache=site.folder / "clips")
        with pytest.raises(ConfigurationError, match=rf"127\.0\.0\.1:{port}.*choose another port"):
            serve(site.store, EnvironmentClips(), settings, lambda address: None)


def test_the_owners_link_signs_in(site: Site) -> None:
    settings = ServerSettings(port=0, cache=site.folder / "clips")
    with serving(site.store, EnvironmentClips(), settings) as address:
        url, _, secret = address.owner_link.partition("/owner#")
        assert url == address.url
        assert httpx.get(f"{url}/owner").status_code == 200
        signed = httpx.post(f"{url}/api/owner/login", json={"secret": secret})
        assert signed.status_code == 200
    with pytest.raises(httpx.TransportError):
        httpx.get(url)


@pytest.mark.parametrize(
    ("settings", "begins"),
    [
        ({"host": "127.0.0.1"}, "http://127.0.0.1:"),
        ({"host": "localhost"}, "http://localhost:"),
        ({"host": "0.0.0.0"}, f"http://{socket.gethostname()}:"),
        ({"public_url": "https://labels.example.org/"}, "https://labels.example.org"),
    ],
)
def test_links_have_an_address_that_leads_here(settings: dict[str, Any], begins: str) -> None:
    chosen = ServerSettings(port=0, secret=SecretStr(SECRET), **settings)
    with _listening(chosen) as (_, address):
        assert isinstance(address, Address)
        assert address.url.startswith(begins)
        assert SECRET not in repr(address)


@pytest.mark.parametrize(
    "settings",
    [
        {"public_url": "labels.example.org"}, {"public_url": "ftp://x"},
        {"public_url": "https://x/labels"}, {"public_url": "https://user@x"}, {"port": 70000},
        {"limits": {"body_bytes": 0}}, {"limits": {"login": {"per_second": 0, "burst": 1}}},
        {"passwort": "x"},
    ],
)  # fmt: skip
def test_settings_that_make_no_sense_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ServerSettings(**settings)


def test_importing_the_core_imports_no_server(tmp_path: Path) -> None:
    import subprocess
    import sys

    code = "import sys, rlhf_core; print([m for m in ('fastapi', 'uvicorn') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
