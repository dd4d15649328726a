"""Random calls after the description of the interface: none makes the server fail."""

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from rlhf_core.labelling.server import EnvironmentClips, ServerSettings, create_app, serving
from tests.labelling.server.campaigns import publish, store_in
from tests.labelling.server.serve_folder import SECRET

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    schemathesis = pytest.importorskip("schemathesis", reason="schemathesis is not installed")
    from schemathesis import GenerationMode

pytestmark = pytest.mark.filterwarnings("ignore")

FREE = {"per_second": 1e6, "burst": 1_000_000}
LIMITS = dict.fromkeys(("address", "session", "login", "all_logins", "join"), FREE)
EXAMPLES = 25


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """A running server, somebody who is signed in as annotator and as owner, and real ids."""
    folder: Path = tmp_path_factory.mktemp("served")
    store = store_in(folder)
    campaign = publish(store, folder, {"comparison": 30, "demonstration": 2, "ranking": 2})
    token = store.invite(campaign.id, "Colleagues", None)[1]
    chosen = ServerSettings(port=0, secret=SecretStr(SECRET), cache=folder / "clips", limits=LIMITS)
    with serving(store, EnvironmentClips(), chosen) as address:
        with httpx.Client(base_url=address.url) as client:
            csrf = client.post("/api/join", json={"token": token, "name": "Ada"}).json()["csrf"]
            headers = {"X-CSRF-Token": csrf}
            items = client.post("/api/next", json={"count": 3}, headers=headers).json()["items"]
            owner = client.post("/api/owner/login", json={"secret": SECRET}).json()["csrf"]
            cookies = dict(client.cookies)
        yield {
            "url": address.url,
            "cookies": cookies,
            "annotator": csrf,
            "owner": owner,
            "ids": {
                "campaign": campaign.id, "assignment": items[0]["assignment"], "number": 0,
                "name": items[0]["assignment"], "place": 0, "token": token,
            },
            "app": create_app(store, EnvironmentClips(), chosen),
        }  # fmt: skip
    store.close()


def operations() -> list[tuple[str, str]]:
    """Every operation, by method and path."""
    return [
        ("POST", "/api/join"), ("GET", "/api/session"), ("GET", "/api/progress"),
        ("POST", "/api/next"), ("GET", "/api/items/{assignment}"), ("POST", "/api/answers"),
        ("POST", "/api/play/start"), ("POST", "/api/play/step"), ("POST", "/api/play/end"),
        ("GET", "/api/play/frame/{name}/{steps}"), ("POST", "/api/owner/login"),
        ("GET", "/api/owner/session"), ("GET", "/api/owner/openapi.json"),
        ("GET", "/api/owner/campaigns"), ("GET", "/api/owner/campaigns/{campaign}"),
        ("POST", "/api/owner/campaigns/{campaign}/extend"),
        ("POST", "/api/owner/campaigns/{campaign}/invites"),
        ("DELETE", "/api/owner/campaigns/{campaign}/invites/{invite}"),
        ("POST", "/api/owner/campaigns/{campaign}/annotators/{number}/active"),
        ("POST", "/api/owner/campaigns/{campaign}/pause"),
        ("POST", "/api/owner/campaigns/{campaign}/close"),
        ("POST", "/api/owner/campaigns/{campaign}/open"),
        ("GET", "/api/owner/campaigns/{campaign}/labels.jsonl"),
        ("GET", "/api/owner/campaigns/{campaign}/labels.parquet"),
        ("GET", "/api/owner/campaigns/{campaign}/audit.jsonl"),
        ("GET", "/clips/{name}/{place}"),
        ("GET", "/label"), ("GET", "/join/{token}"), ("GET", "/owner"), ("GET", "/static/{file}"),
        ("GET", "/health"), ("POST", "/api/owner/logout"),
    ]  # fmt: skip


def test_the_list_of_operations_is_whole(served: dict[str, Any]) -> None:
    described = served["app"].openapi()["paths"]
    assert {(m.upper(), path) for path, one in described.items() for m in one} == set(operations())


@pytest.mark.timeout(60)
@pytest.mark.parametrize(("method", "path"), operations())
def test_no_call_makes_the_server_fail(served: dict[str, Any], method: str, path: str) -> None:
    schema = schemathesis.openapi.from_dict(served["app"].openapi())
    operation = schema[path][method]
    cases = operation.as_strategy(GenerationMode.POSITIVE)
    if _has_parameters(operation):
        cases = st.one_of(cases, operation.as_strategy(GenerationMode.NEGATIVE))
    statuses: set[int] = set()

    @seed(0)
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=cases, real=st.booleans())
    def calling(case: Any, real: bool) -> None:
        if real:
            _with_real_ids(case, served["ids"])
        owner = path.startswith("/api/owner/")
        headers = {"X-CSRF-Token": served["owner" if owner else "annotator"]}
        response = case.call(
            base_url=served["url"], headers=headers, cookies=dict(served["cookies"])
        )
        statuses.add(response.status_code)
        assert response.status_code < 500, (case.as_curl_command(), response.text)
        if response.status_code >= 400:
            assert set(response.json()) == {"error"}

    calling()
    assert statuses, "calls were made"


def _has_parameters(operation: Any) -> bool:
    raw = operation.definition.raw
    return bool(raw.get("parameters")) or "requestBody" in raw


def _with_real_ids(case: Any, ids: dict[str, Any]) -> None:
    """Put ids that exist where random ones were, so that calls get further."""
    for place in (case.path_parameters, case.body):
        if isinstance(place, dict):
            for name in set(place) & set(ids):
                place[name] = ids[name]
