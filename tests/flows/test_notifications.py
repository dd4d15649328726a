"""Notices reach a local receiver, a command and a block; what cannot be sent ends nothing."""

import json
import logging
from pathlib import Path
from typing import Any

import pytest

from rlhf_core.errors import ConfigurationError, RunError, ServiceError
from tasks.home import Home
from tasks.notifications import sending, settings
from tasks.notifications.notice import Event, Notice
from tasks.notifications.settings import Notification
from tests.flows.conftest import LONGEST_SECONDS, Command, tiny_file
from tests.flows.webhooks import receiver

NOTICE = Notice(
    Event.REFUSED, "swing version 3 refused", "not better", "retrain", "nightly", "abc", "swing", 3
)


def test_a_webhook_gets_the_notice_after_a_failure_of_the_server(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sending, "PAUSES", (0.0, 0.0))
    with receiver(503) as (address, bodies):
        sending.deliver(Notification(name="team", webhook=address), NOTICE)
    assert len(bodies) == 2
    assert bodies[1] == {
        "event": "refused", "title": "swing version 3 refused", "text": "not better",
        "flow": "retrain", "schedule": "nightly", "run_id": "abc", "model": "swing", "version": 3,
        "reasons": [],
    }  # fmt: skip


def test_a_webhook_that_refuses_is_not_asked_again() -> None:
    with receiver(404) as (address, bodies), pytest.raises(ServiceError, match="status 404"):
        sending.deliver(Notification(name="team", webhook=address), NOTICE)
    assert len(bodies) == 1


def test_a_command_gets_arguments_and_json_and_no_shell_reads_them(tmp_path: Path) -> None:
    wrote = tmp_path / "out"
    program = (
        "import sys, pathlib;pathlib.Path(sys.argv[1]).write_text(sys.argv[2] + sys.stdin.read())"
    )
    notice = Notice(Event.FAILED, "x; touch gone $(id)", "https://a:pw@b/c", "train")
    entry = Notification(name="desk", command=("python3", "-c", program, str(wrote), "{title}"))
    sending.deliver(entry, notice)
    title, brace, content = wrote.read_text().partition("{")
    assert title == "x; touch gone $(id)"
    assert json.loads(brace + content)["text"] == "https://a:***@b/c"
    failing = ("python3", "-c", "import sys; print('why', file=sys.stderr); sys.exit(3)")
    with pytest.raises(ServiceError, match="ended with status 3 why"):
        sending.deliver(Notification(name="desk", command=failing), notice)


def test_a_command_that_writes_no_text_is_told_and_ends_nothing(tmp_path: Path) -> None:
    program = "import sys; sys.stderr.buffer.write(bytes([255, 254])); sys.exit(3)"
    home = Home(tmp_path / "home")
    settings.keep(home, [Notification(name="desk", command=("python3", "-c", program))])
    (problem,) = sending.send(home, NOTICE)
    assert "ended with status 3" in problem


def test_only_who_wants_a_notice_gets_it(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    home = Home(tmp_path / "home")
    with receiver() as (address, bodies):
        entries = [
            Notification(name="all", webhook=address),
            Notification(name="other", webhook=address, schedules=("weekly",)),
            Notification(name="good", webhook=address, on=(Event.PROMOTED,)),
            Notification(name="lost", command=("no-such-program-of-ours",)),
        ]
        settings.keep(home, entries)
        assert settings.of_home(home) == tuple(entries)
        with caplog.at_level(logging.WARNING):
            problems = sending.send(home, NOTICE)
    assert len(bodies) == 1
    assert len(problems) == 1
    assert "notification lost of 'refused' was not delivered: command no-such" in problems[0]
    assert problems[0] in caplog.text
    assert settings.path_of(home).stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"name": "a"}, "expected one of webhook, command and block, actual: none"),
        ({"name": "a", "webhook": "https://x", "block": "b/c"}, "actual: webhook and block"),
        ({"name": "a", "webhook": "ftp://x"}, "webhook: expected an address such as"),
        ({"name": "a", "block": "team"}, "block: expected TYPE/NAME"),
        ({"name": "a", "block": "b/c", "on": ["won"]}, "on.0: expected 'promoted', 'refused'"),
    ],
)
def test_bad_entries_are_named(entry: dict[str, Any], message: str, tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    home.folder("notifications")
    settings.path_of(home).write_text(json.dumps({"notifications": [entry]}))
    with pytest.raises(ConfigurationError, match="notification a: ") as raised:
        settings.of_home(home)
    assert message in str(raised.value)


def test_an_unknown_entry_is_named() -> None:
    with pytest.raises(RunError, match="unknown notification 'b'; valid: a"):
        settings.named([Notification(name="a", block="c/d")], "b")


@pytest.mark.timeout(2 * LONGEST_SECONDS)
def test_the_end_of_runs_is_told(rlhf: Command) -> None:
    with receiver() as (address, bodies):
        assert rlhf("notify", "add", "told", "--webhook", address, "--on",
                    "finished,failed,promoted").returncode == 0  # fmt: skip
        shown = rlhf("notify", "list").stdout
        assert "secret" not in shown
        file = str(tiny_file(rlhf.folder))
        run = rlhf.train()
        failed = rlhf("train", file, "--set", "environment.id=tests.core.faulty:Faulty-v0",
                      "--set", "environment.options={fault: nan, at: 30}")  # fmt: skip
        assert failed.returncode == 1, failed.stderr
        made = rlhf("retrain", file, "--model", "told", "--episodes", "20")
        assert made.returncode == 0, made.stderr
        assert rlhf("notify", "remove", "told").returncode == 0
    assert bodies[0]["event"] == "finished"
    assert bodies[0]["run_id"] == run["run_id"]
    assert bodies[-1]["event"] == "promoted"
    assert (bodies[-1]["model"], bodies[-1]["version"]) == ("told", 1)
    assert "failed" in [body["event"] for body in bodies[1:-1]]
