"""A label store in SQLite, and in PostgreSQL where its programs are installed."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from rlhf_core.labelling.store import LabelStore, open_store
from tests.labelling.store.examples import Clock
from tests.labelling.store.postgresql import Cluster, cluster, programs


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Cluster]:
    """A cluster of this test process."""
    pytest.importorskip("psycopg", reason="psycopg is not installed")
    folder = programs()
    if folder is None:
        pytest.skip("no initdb under /usr/lib/postgresql/*/bin")
    with cluster(folder) as running:
        yield running


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of an empty database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/labels.db"
    running: Cluster = request.getfixturevalue("postgresql")
    return running.new_database()


@pytest.fixture
def clock() -> Clock:
    """A clock that stands still until it is moved."""
    return Clock()


@pytest.fixture
def store(url: str, clock: Clock) -> Iterator[LabelStore]:
    """An empty label store."""
    opened = open_store(url, clock)
    yield opened
    opened.close()
