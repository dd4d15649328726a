"""Databases: settings that keep answers, messages without passwords, tables made once."""

import multiprocessing
import sqlite3
import threading
import time
from pathlib import Path

import pytest
from sqlalchemy import text, update

from rlhf_core.errors import StoreError
from rlhf_core.labelling.store import CampaignSettings, LabelStore, open_store
from rlhf_core.labelling.store.tables import versions
from rlhf_core.labelling.store.turn import Turn
from tests.labelling.store.postgresql import PASSWORD, Cluster


def test_sqlite_syncs_each_commit_and_keeps_a_log(tmp_path: Path) -> None:
    store = open_store(f"sqlite:///{tmp_path}/new/labels.db")
    for begin in (store.database.reading, store.database.writing):
        with begin() as connection:
            values = {
                name: connection.execute(text(f"pragma {name}")).scalar()
                for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
            }
        full = 2
        assert values == {
            "journal_mode": "wal",
            "synchronous": full,
            "foreign_keys": 1,
            "busy_timeout": 60_000,
        }
    store.close()
    assert sqlite3.connect(tmp_path / "new" / "labels.db").execute(
        "pragma journal_mode"
    ).fetchone() == ("wal",)


def test_a_failed_transaction_leaves_nothing(store: LabelStore) -> None:
    def fail() -> None:
        with store.database.writing() as connection:
            connection.execute(update(versions).values(version=99))
            raise RuntimeError("in the middle")

    with pytest.raises(RuntimeError, match="in the middle"):
        fail()
    with store.database.reading() as connection:
        assert connection.scalar(text("select version from label_schema")) == 1


def test_readers_see_one_state_while_others_write(store: LabelStore) -> None:
    with store.database.reading() as connection:
        count = text("select count(*) from label_campaigns")
        assert connection.scalar(count) == 0
        store.open_campaign("run-1", "t", CampaignSettings(), "")
        assert connection.scalar(count) == 0
    assert len(store.campaigns()) == 1


def test_a_store_of_another_version_is_refused(store: LabelStore, url: str) -> None:
    with store.database.writing() as connection:
        connection.execute(update(versions).values(version=99))
    with pytest.raises(StoreError, match="expected schema 1, actual: 99"):
        open_store(url)


@pytest.mark.parametrize(
    "url",
    [
        "nonsense",
        "",
        "mysql://root:hunter2@localhost/x",
        "postgresql+asyncpg://root:hunter2@localhost/x",
        "sqlite://",
        "sqlite:///:memory:",
        "postgresql://root:hunter2@[::/x",
    ],
)
def test_an_address_that_cannot_be_used_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(StoreError, match="label store: expected sqlite:///PATH or") as caught:
        open_store(url)
    assert "hunter2" not in str(caught.value)
    assert caught.value.__cause__ is None or "hunter2" not in str(caught.value.__cause__)


def test_messages_have_no_password(postgresql: Cluster) -> None:
    for url in (
        postgresql.url("nowhere"),
        postgresql.url("postgres", password="hunter2-wrong"),
        f"postgresql://labels:{PASSWORD}@127.0.0.1:1/x",
    ):
        with pytest.raises(StoreError, match="label store postgresql") as caught:
            open_store(url)
        messages = f"{caught.value} {caught.value.__cause__}"
        assert PASSWORD not in messages
        assert "hunter2" not in messages
        assert "labels:***@" in messages
    store = open_store(postgresql.new_database())
    assert PASSWORD not in store.database.name
    store.close()


def test_a_commit_of_postgresql_waits_for_the_disk(postgresql: Cluster) -> None:
    store = open_store(postgresql.new_database())
    with store.database.writing() as connection:
        assert connection.scalar(text("show synchronous_commit")) == "on"
    store.close()


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "labels.db").write_text("not a database, but long enough to be looked at" * 10)
    with pytest.raises(StoreError, match="file is not a database"):
        open_store(f"sqlite:///{tmp_path}/labels.db")
    (tmp_path / "folder").write_text("")
    with pytest.raises(StoreError, match="cannot be written"):
        open_store(f"sqlite:///{tmp_path}/folder/labels.db")


def test_threads_have_their_turn_in_the_order_in_which_they_came() -> None:
    turn, order = Turn(), list[int]()

    def wait(number: int) -> None:
        with turn:
            order.append(number)

    threads = [threading.Thread(target=wait, args=(number,)) for number in range(20)]
    with turn:
        for count, thread in enumerate(threads, start=1):
            thread.start()
            until = time.monotonic() + 10
            while len(turn._waiting) < count and time.monotonic() < until:
                time.sleep(0.001)
        assert order == []
    for thread in threads:
        thread.join(10)
    assert order == list(range(20))
    with turn:
        assert not turn._waiting


def _open(url: str, barrier: "multiprocessing.synchronize.Barrier") -> None:
    barrier.wait(60)
    store = open_store(url)
    store.open_campaign("run-1", "t", CampaignSettings(), "")
    store.close()


def test_processes_that_make_tables_and_a_campaign_at_once(url: str) -> None:
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(3)
    processes = [context.Process(target=_open, args=(url, barrier)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
    assert [process.exitcode for process in processes] == [0, 0, 0]
    store = open_store(url)
    assert len(store.campaigns()) == 1
    assert len(store.audit(1)) == 1
    store.close()
