"""A served campaign and callers of it."""

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from rlhf_core.labelling.server import EnvironmentClips, ServerSettings, create_app
from rlhf_core.labelling.store import Campaign, LabelStore
from tests.labelling.server.campaigns import publish, store_in
from tests.labelling.server.serve_folder import SECRET

with warnings.catch_warnings():
    # Starlette asks for another release of the client.
    warnings.simplefilter("ignore")
    from starlette.testclient import TestClient


@dataclass
class Site:
    """An application, its store and its campaign."""

    folder: Path
    store: LabelStore
    campaign: Campaign
    app: Any
    clients: list[TestClient] = field(default_factory=list)

    def client(self, base: str = "http://localhost", address: str = "127.0.0.1") -> TestClient:
        made = TestClient(
            self.app, base_url=base, client=(address, 50000), raise_server_exceptions=False
        )
        self.clients.append(made)
        return made

    def invite(self, uses: int | None = None) -> str:
        return self.store.invite(self.campaign.id, "Colleagues", uses)[1]

    def annotator(self, name: str = "Ada") -> TestClient:
        """Who has joined, with the token in the headers."""
        client = self.client()
        joined = client.post("/api/join", json={"token": self.invite(), "name": name})
        assert joined.status_code == 200, joined.text
        client.headers["X-CSRF-Token"] = joined.json()["csrf"]
        return client

    def owner(self) -> TestClient:
        client = self.client()
        signed = client.post("/api/owner/login", json={"secret": SECRET})
        assert signed.status_code == 200, signed.text
        client.headers["X-CSRF-Token"] = signed.json()["csrf"]
        return client


@pytest.fixture
def site_of(tmp_path: Path) -> Iterator[Callable[..., Site]]:
    sites: list[Site] = []

    def making(
        forms: dict[str, int] | None = None, limits: dict[str, Any] | None = None, **options: Any
    ) -> Site:
        folder = tmp_path / str(len(sites))
        folder.mkdir()
        server = {name: options.pop(name) for name in ("public_url", "tls") if name in options}
        settings = ServerSettings(
            secret=SecretStr(SECRET), cache=folder / "clips", limits=limits or {}, **server
        )
        store = store_in(folder)
        campaign = publish(store, folder, forms or {"comparison": 3}, **options)
        sites.append(Site(folder, store, campaign, create_app(store, EnvironmentClips(), settings)))
        return sites[-1]

    yield making
    for site in sites:
        for client in site.clients:
            client.close()
        site.store.close()


@pytest.fixture
def site(site_of: Callable[..., Site]) -> Site:
    return site_of()


def answer_to(item: dict[str, Any], key: str = "key-0001", **changed: Any) -> dict[str, Any]:
    """An answer to a comparison."""
    return {
        "key": key,
        "assignment": item["assignment"],
        "sequence": 1,
        "answer": {"choice": "left"},
        "seconds": 1.5,
        "events": [[0, "shown"], [1500, "answered"]],
        "page_version": "1",
        **changed,
    }


def items(client: httpx.Client, count: int = 3) -> list[dict[str, Any]]:
    response = client.post("/api/next", json={"count": count})
    assert response.status_code == 200, response.text
    found: list[dict[str, Any]] = response.json()["items"]
    return found
