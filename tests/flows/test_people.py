"""Runs that wait for people: in a terminal, killed and resumed; and suspended by `rlhf serve`."""

import json
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from flows.schedules import status
from tasks.home import Home
from tasks.people import labels_of
from tasks.tracking.store import prepare
from tasks.tracking.tags import PEOPLE_TAG
from tests.flows.conftest import (
    LONGEST_SECONDS,
    Command,
    client_of,
    run_ids,
    tiny_file,
    wait_until,
)
from tests.labelling.scripted import PendulumJudge, ScriptedAnnotator

pytestmark = pytest.mark.timeout(3 * LONGEST_SECONDS)
HUMAN: dict[str, Any] = {"kind": "human", "title": "Swing", "training": 1}


def people_file(rlhf: Command, **fields: Any) -> str:
    """The tiny experiment with people, as a file."""
    path = tiny_file(rlhf.folder, name="people", annotator={**HUMAN, **fields})
    return str(path.rename(path.with_name("people.yaml")))


def link_of(home: Path, known: set[str]) -> tuple[str, str]:
    """The run that waits and was not known before, and its link; waits for both."""
    found: list[tuple[str, str]] = []

    def look() -> bool:
        client = client_of(home)
        for run_id in run_ids(home).keys() - known:
            link = client.get_run(run_id).data.tags.get(PEOPLE_TAG)
            if link is not None:
                found.append((run_id, link))
        return bool(found)

    wait_until(look)
    return found[0]


def answer(home: Path, link: str, count: int) -> None:
    """Answer so many questions as one person, as they come."""
    done, deadline = 0, time.monotonic() + LONGEST_SECONDS
    with labels_of(Home(home)) as labels:
        judge, annotator = PendulumJudge(labels), ScriptedAnnotator(link, "ann")
        while done < count:
            assert time.monotonic() < deadline, f"{done} of {count} questions came"
            answered = annotator.work(judge, count - done)
            done += answered
            if not answered:
                time.sleep(0.2)
        annotator.close()


def printed(rlhf: Command, *arguments: str) -> Any:
    done = rlhf(*arguments)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_run_waits_in_a_terminal_is_killed_and_goes_on(rlhf: Command) -> None:
    prepare(Home(rlhf.home))  # The store is there before anything looks into it.
    known = set(run_ids(rlhf.home))
    process = rlhf.start("train", people_file(rlhf))
    run_id, link = link_of(rlhf.home, known)
    wait_until(lambda: run_ids(rlhf.home)[run_id] == "SCHEDULED")
    answer(rlhf.home, link, 2)
    process.kill()
    _, told = process.communicate()
    assert f"people answer at {link}" in told
    # Who looks meanwhile leaves it as it is: people have time.
    (campaign,) = printed(rlhf, "label", "campaigns", "--json")
    assert (campaign["run_id"], campaign["status"], campaign["answers"]) == (run_id, "open", 2)
    assert run_ids(rlhf.home)[run_id] == "SCHEDULED"

    resumed = rlhf.start("resume", run_id, "--json")
    answer(rlhf.home, link, 7)
    out, err = resumed.communicate(timeout=LONGEST_SECONDS)
    assert resumed.returncode == 0, err
    summary = json.loads(out)
    assert (summary["run_id"], summary["labels"]) == (run_id, 9)
    assert run_ids(rlhf.home)[run_id] == "FINISHED"
    assert client_of(rlhf.home).get_run(run_id).data.metrics["feedback/judgements_total"] == 9

    overview = printed(rlhf, "label", "status", "--json")
    assert (overview["status"], overview["answers"], overview["questions"]) == ("closed", 9, 9)
    assert [one["name"] for one in overview["annotators"]] == ["ann", "ann"]
    # The labels go where retraining takes them from.
    file = str(rlhf.folder / "people.jsonl")
    assert printed(rlhf, "label", "export", file, "--json")["labels"] == 9
    made = printed(rlhf, "labels", "import", "answered", file, "--json")
    assert made["counts"] == {"comparison": 9}


def test_serve_suspends_a_run_and_goes_on_with_it_when_all_is_answered(rlhf: Command) -> None:
    home = Home(rlhf.home)
    prepare(Home(rlhf.home))  # The store is there before anything looks into it.
    known = set(run_ids(rlhf.home))
    made = rlhf("schedule", "add", people_file(rlhf), "--name", "asks", "--every", "366d")
    assert made.returncode == 0, made.stderr
    serving = rlhf.start("serve")
    wait_until(lambda: status.read(home, "asks").last_served is not None)
    assert rlhf("schedule", "run-now", "asks").returncode == 0
    run_id, link = link_of(rlhf.home, known)
    wait_until(lambda: status.read(home, "asks").waiting is not None)
    assert run_ids(rlhf.home)[run_id] == "SCHEDULED"

    # A second time comes while it waits.
    assert rlhf("schedule", "run-now", "asks").returncode == 0
    wait_until(lambda: status.read(home, "asks").skipped == 1)

    # Whoever serves is killed; what people send meanwhile counts.
    answer(rlhf.home, link, 1)
    serving.kill()
    told, _ = serving.communicate()
    assert "asks: skipped, the run before it still waits for people" in told
    serving = rlhf.start("serve")
    answer(rlhf.home, link, 8)
    wait_until(lambda: status.read(home, "asks").runs == 1)
    past = status.read(home, "asks")
    assert (past.state, past.run_id, past.waiting) == ("Completed", run_id, None)
    assert run_ids(rlhf.home)[run_id] == "FINISHED"
    serving.send_signal(signal.SIGTERM)
    out, _ = serving.communicate(timeout=LONGEST_SECONDS)
    assert "is answered; it goes on" in out
    assert rlhf("schedule", "remove", "asks").returncode == 0


def test_bad_input_is_one_line(rlhf: Command) -> None:
    Home(rlhf.home).store.remember("written", {})  # There is a home.
    for arguments, message in (
        (("label", "status", "nobody"), "see `rlhf label campaigns`"),
        (("label", "serve", "--host", "0.0.0.0"), "RLHF_LABEL_SECRET"),
        (("label", "serve", "--url", "labels"), "expected an address such as"),
    ):
        done = rlhf(*arguments)
        assert done.returncode == 2, (arguments, done.stderr)
        assert message in done.stderr
        assert done.stderr.count("\n") <= 2
