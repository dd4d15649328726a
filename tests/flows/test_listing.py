"""Runs that a filter finds, and what filters cannot say."""

from pathlib import Path

import pytest

from rlhf_core.errors import ConfigurationError, RunError
from tasks.tracking import listing, records, summaries
from tasks.tracking.store import Tracker
from tasks.tracking.summaries import SummaryRow
from tasks.tracking.tags import GROUP_TAG, KIND_TAG, PROJECT, PROJECT_TAG, membership

QUOTES = ["a'b", 'a"b', """a'b"c"""]


@pytest.fixture(scope="module")
def tracker(tmp_path_factory: pytest.TempPathFactory) -> Tracker:
    folder: Path = tmp_path_factory.mktemp("tracking")
    (folder / "mlflow.db").touch()
    return Tracker(f"sqlite:///{folder}/mlflow.db", (folder / "artifacts").as_uri())


def made(tracker: Tracker, **tags: str) -> str:
    ours = {PROJECT_TAG: PROJECT, KIND_TAG: "run"}
    return records.create(tracker, "Corridor", "run", {**ours, **tags}, {})


def found(tracker: Tracker, *filters: str) -> set[str]:
    return {run.run_id for run in listing.list_runs(tracker, filters)}


def test_a_run_belongs_to_the_comparison_that_played_it_and_to_those_that_reuse_it(
    tracker: Tracker,
) -> None:
    played, reused = made(tracker, **membership("second")), made(tracker, **membership("first"))
    rows = [SummaryRow("a", "preference", "ppo", "1. a", {}, [], [], [played, reused])]
    for _ in range(2):
        summaries.write(tracker, "Corridor", "second", rows, "`a` is alone.", None)
    assert found(tracker, "comparison=second") == {played, reused}
    assert found(tracker, "comparison=first") == {reused}
    assert found(tracker, "comparison=third") == set()


@pytest.mark.parametrize("name", [*QUOTES, "", "a b", "-a", "a" * 101])
def test_a_text_that_cannot_name_a_comparison_makes_no_tag(name: str) -> None:
    assert membership(name) == {}


@pytest.mark.parametrize("value", QUOTES[:2])
def test_values_with_quotation_marks_are_found(tracker: Tracker, value: str) -> None:
    run_id = made(tracker, **{GROUP_TAG: value, "note": value})
    assert records.find(tracker, "note", value) == run_id
    assert [run.run_id for run in records.find_all(tracker, {"note": value})] == [run_id]
    assert found(tracker, f"comparison={value}") == {run_id}


def test_what_no_filter_can_say_is_not_found(tracker: Tracker) -> None:
    assert records.find(tracker, "note", QUOTES[2]) is None
    assert records.find_all(tracker, {"note": QUOTES[2]}) == []
    with pytest.raises(ConfigurationError, match="--filter: expected WORD=VALUE"):
        found(tracker, f"cell={QUOTES[2]}")


@pytest.mark.parametrize("beginning", [*QUOTES, "", "%"])
def test_the_beginning_of_an_id_is_letters_and_digits(tracker: Tracker, beginning: str) -> None:
    with pytest.raises(RunError, match="expected the beginning of a run id"):
        listing.find_run(tracker, beginning)
