"""Addresses: what is printed of them, which are refused, how a file's path becomes one."""

from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from rlhf_core.errors import ConfigurationError, ServiceError
from tasks.addresses import check_url, masked, printable, sqlite_file, sqlite_url
from tasks.deadline import within
from tasks.home import Home
from tasks.runs.lifecycle import move
from tasks.runs.states import Event
from tasks.tracking import records
from tasks.tracking.store import Tracker, prepare
from tasks.tracking.tags import REASON_TAG


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("http://user:secret@host:80/api", "http://user:***@host:80/api"),
        ("postgresql+psycopg2://user:se:cr@et@host/db", "postgresql+psycopg2://user:***@host/db"),
        ("mysql://user:se/cret@host/db", "mysql://user:***@host/db"),
        ("https://ghp_token@host/x", "https://***@host/x"),
        ("http://host/?token=secret&a=1", "http://host/?token=***&a=1"),
        ("s3://bucket?AWS_SECRET_ACCESS_KEY=secret", "s3://bucket?AWS_SECRET_ACCESS_KEY=***"),
        ("http://host/x?a=1&password=secret", "http://host/x?a=1&password=***"),
        ("no answer from 'ws://u:secret@h/in', twice", "no answer from 'ws://u:***@h/in', twice"),
        ("http://u:secret@[::1", "http://u:***@[::1"),
        ("two: a://b:secret@c d://e:secret@f", "two: a://b:***@c d://e:***@f"),
        ("http://h/#access_token=secret", "http://h/#access_token=***"),
        ("by:http://user:secret@host/x", "by:http://user:***@host/x"),
        ("to //user:secret@host/x", "to //user:***@host/x"),
        ("http://h/?password='se cret'&a=1", "http://h/?password=***&a=1"),
        ("http://h/?password='secret", "http://h/?password=***"),
        ("http://user:se cr/et@host", "http://user:***@host"),
        ("a # comment // me:x@example.org", "a # comment // me:x@example.org"),
        ("http://h:80/a, mail to a@b", "http://h:80/a, mail to a@b"),
        ("http://host:5000/a/b", "http://host:5000/a/b"),
        (
            "mail me@example.org or see s3://bucket/a@b",
            "mail me@example.org or see s3://bucket/a@b",
        ),
    ],
)
def test_secrets_of_addresses_are_masked_and_nothing_else_is(text: str, expected: str) -> None:
    assert masked(text) == expected
    assert masked(masked(text)) == expected


def test_what_is_printed_is_one_bounded_line_without_control_characters() -> None:
    assert printable("a\n b\tc \x1b[31m") == "a b c ?[31m"
    assert len(printable("x" * 10_000_000)) < 400


@pytest.mark.parametrize(
    ("address", "problem"),
    [
        ("http://[::1", "Invalid IPv6 URL"),
        ("http://host:abc/api", "Port could not be cast to integer value as 'abc'"),
        ("http://host:99999/api", "Port out of range"),
        ("http:///api", "it has no host"),
        ("http://", "it has no host"),
        ("gopher://host/api", "the scheme is 'gopher'"),
        ("127.0.0.1:4200/api", "it has no scheme"),
    ],
)
def test_a_malformed_url_is_refused_by_its_variable(address: str, problem: str) -> None:
    with pytest.raises(ConfigurationError) as refusal:
        check_url("PREFECT_API_URL", address, "http://127.0.0.1:4200/api")
    message = str(refusal.value)
    assert message.startswith("PREFECT_API_URL: expected an address such as http://127.0.0.1:4200")
    assert f"actual: '{address}'" in message
    assert problem in message


@pytest.mark.parametrize(
    ("address", "part"),
    [
        ("http://ho st/sec ret", "'http://ho st' (it holds a blank"),
        ("http://me:sec ret@host/x?a=b", "'http://host' (it holds a blank"),
        ("http://me:secret /x@host", "'http://me' (it holds a blank"),
        ("http://me:secret/x@host", "'http://me:***@host' (write a user and a password with %2F"),
    ],
)
def test_a_malformed_url_is_refused_without_its_password(address: str, part: str) -> None:
    with pytest.raises(ConfigurationError) as refusal:
        check_url("PREFECT_API_URL", address, "http://127.0.0.1:4200/api")
    assert part in str(refusal.value)
    assert "sec" not in str(refusal.value)


def test_no_text_takes_long_to_mask() -> None:
    for part in ("a://b:", "//", "a", "//u:", "?token='", " ", "a://b: a"):
        assert masked(part * 20_000).startswith(part[0])


def test_a_url_is_taken_whatever_the_size_of_its_letters() -> None:
    assert check_url("X", "HTTP://127.0.0.1:4200/api/", "e") == "http://127.0.0.1:4200/api"


@pytest.mark.parametrize("address", ["gopher://host", "htp://127.0.0.1:5000", "http://[::1"])
def test_a_tracking_store_of_no_known_kind_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    with pytest.raises(ConfigurationError, match="MLFLOW_TRACKING_URI: expected an address such"):
        prepare(Home(tmp_path))


def test_a_database_that_is_not_there_is_refused_without_its_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "mysql+nodriver://me:hunter2@127.0.0.1:9/db")
    with pytest.raises(ServiceError, match=r"mysql\+nodriver://me:\*\*\*@127\.0\.0\.1:9/db cannot"):
        prepare(Home(tmp_path))
    assert "hunter2" not in repr(Tracker("mysql://me:hunter2@host/db"))


@pytest.mark.parametrize("name", ["plain", "a?b", "a#b", "a%20b", "a b", "å", "a&b=c;d"])
@pytest.mark.parametrize("driver", ["sqlite", "sqlite+aiosqlite"])
def test_a_database_lies_at_its_path_whatever_that_holds(
    tmp_path: Path, name: str, driver: str
) -> None:
    (tmp_path / name).mkdir()
    path = tmp_path / name / "x.db"
    address = sqlite_url(path, driver, timeout=60)
    assert sqlite_file(address) == path
    if driver == "sqlite":
        engine = create_engine(address)
        with engine.begin() as connection:
            connection.execute(text("CREATE TABLE made (n INTEGER)"))
        engine.dispose()
        assert [p for p in tmp_path.rglob("*") if p.is_file()] == [path]


@pytest.mark.parametrize("name", ["a?b", "a#b%20c d\u00e5"])
def test_a_home_keeps_its_tracking_store_and_artifacts_inside(tmp_path: Path, name: str) -> None:
    home = Home(tmp_path / "here" / name)
    tracker = prepare(home)
    client = tracker.client()
    made = client.create_experiment("e", artifact_location=tracker.artifacts)
    run = client.create_run(made)
    client.log_text(run.info.run_id, "kept", "note.txt")
    assert [path.name for path in (tmp_path / "here").iterdir()] == [name]
    assert (home.path / "mlflow" / "mlflow.db").exists()
    (note,) = home.path.rglob("note.txt")
    assert note.read_text() == "kept"


def test_a_long_reason_is_masked_before_it_is_cut(tmp_path: Path) -> None:
    tracker = prepare(Home(tmp_path))
    run_id = records.create(tracker, "e", "n", {}, {})
    reason = f"{'x' * 4981} http://me:hunter2@host"
    assert "hunt" in reason[:5000]
    move(tracker, run_id, Event.FAIL, reason)
    record = records.read(tracker, run_id)
    assert record is not None
    assert record.tags[REASON_TAG].endswith(" http://me:***@host")


def test_a_deadline_is_for_the_whole_and_hands_on_what_is_returned_or_raised() -> None:
    import threading

    assert within(60, lambda: 3) == 3
    with pytest.raises(KeyError):
        within(60, lambda: {}["x"])
    release = threading.Event()
    with pytest.raises(TimeoutError, match=r"no complete answer within 0\.01 seconds"):
        within(0.01, release.wait)
    release.set()
