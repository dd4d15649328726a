"""What `rlhf clean` removes, and what it never touches."""

import itertools
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from flows.command.app import app
from rlhf_core.errors import RunError
from rlhf_core.judgements import Choice
from rlhf_core.label_sets import versions
from rlhf_core.label_sets.batch import LabelBatch
from rlhf_core.labels import Evidence
from rlhf_core.questions import Queries
from rlhf_core.types import TrueRewards
from tasks.home import Home
from tasks.runs import cleaning, lease
from tasks.tracking import records
from tasks.tracking.store import Tracker, prepare
from tests.core.examples import annotations, segments

NUMBERS = itertools.count()
"""No two objects are equal, or they would be one."""

Run = Callable[[str], tuple[str, dict[str, str]]]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return Home(tmp_path_factory.mktemp("clean"))


@pytest.fixture(scope="module")
def tracker(home: Home) -> Tracker:
    return prepare(home)


@pytest.fixture
def run(home: Home, tracker: Tracker) -> Run:
    """Makes a run with a configuration, labels, and the result of a stage."""

    def make(status: str) -> tuple[str, dict[str, str]]:
        refs = {}
        for name in ("configuration", "labels", "policy"):
            value = TrueRewards(_numbers(next(NUMBERS)))
            refs[name] = home.store.put(value)
        run_id = records.create(tracker, "clean", "run", {}, {})
        for name in ("configuration", "labels"):
            home.store.remember(f"{run_id}/{name}", {"refs": {name: refs[name]}})
        home.store.remember(f"{run_id}/0001-fit-abc", {"refs": {"policy": refs["policy"]}})
        home.store.remember(f"{run_id}/summary", {"finished": True})
        home.store.save_checkpoint(f"{run_id}/0002-optimise-abc", value)
        records.set_status(tracker, run_id, status, status != "RUNNING")
        return run_id, refs

    return make


def _numbers(value: float) -> np.ndarray:
    return np.full(4, value, dtype=np.float64)


def held(home: Home, refs: dict[str, str]) -> set[str]:
    return {name for name, ref in refs.items() if home.store.holds(ref)}


def test_a_finished_run_keeps_experiment_labels_and_summary(
    home: Home, tracker: Tracker, run: Run
) -> None:
    run_id, refs = run("FINISHED")
    stray = home.store.put(TrueRewards(_numbers(3.5)))
    before = cleaning.find(home, tracker)
    assert held(home, refs) == {"configuration", "labels", "policy"}
    waste = cleaning.remove(home, tracker)
    assert waste == before
    assert held(home, refs) == {"configuration", "labels"}
    assert not home.store.holds(stray)
    assert home.store.recall(f"{run_id}/0001-fit-abc") is None
    assert home.store.load_checkpoint(f"{run_id}/0002-optimise-abc") is None
    assert home.store.recall(f"{run_id}/summary") is not None
    assert cleaning.find(home, tracker).freed == 0


@pytest.mark.parametrize("status", ["RUNNING", "FAILED", "KILLED", "SCHEDULED"])
def test_a_run_that_can_go_on_keeps_everything(
    home: Home, tracker: Tracker, run: Run, status: str
) -> None:
    run_id, refs = run(status)
    cleaning.remove(home, tracker)
    assert held(home, refs) == {"configuration", "labels", "policy"}
    assert home.store.recall(f"{run_id}/0001-fit-abc") is not None
    assert home.store.load_checkpoint(f"{run_id}/0002-optimise-abc") is not None


def test_a_run_of_another_tracking_store_keeps_everything(home: Home, tracker: Tracker) -> None:
    ref = home.store.put(TrueRewards(_numbers(9.25)))
    home.store.remember("0" * 32 + "/0001-fit-abc", {"refs": {"policy": ref}})
    cleaning.remove(home, tracker)
    assert home.store.holds(ref)


def test_nothing_is_removed_where_a_note_of_a_run_that_stays_is_damaged(
    home: Home, tracker: Tracker, run: Run
) -> None:
    run_id, refs = run("FAILED")
    note = next((home.path / "store" / "memo" / run_id).glob("*fit*"))
    whole = note.read_bytes()
    note.write_bytes(whole[:-1])
    with pytest.raises(RunError, match=f"what run {run_id} needs is unknown; resume the run"):
        cleaning.remove(home, tracker)
    note.write_bytes(whole)
    assert held(home, refs) == {"configuration", "labels", "policy"}


def test_a_store_of_several_homes_is_left_alone(
    home: Home, tracker: Tracker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RLHF_STORE", str(home.path / "store"))
    with pytest.raises(RunError, match="RLHF_STORE names a store that runs of other homes may use"):
        cleaning.remove(home, tracker)


def test_what_killed_processes_left_is_swept(home: Home, tracker: Tracker) -> None:
    left = home.path / "store" / "memo" / "x.json.12-dead.tmp"
    left.write_bytes(b"half")
    assert cleaning.find(home, tracker).freed >= 4
    cleaning.remove(home, tracker)
    assert not left.exists()


def test_of_a_deleted_run_nothing_stays(home: Home, tracker: Tracker, run: Run) -> None:
    run_id, refs = run("FAILED")
    tracker.client().delete_run(run_id)
    waste = cleaning.remove(home, tracker)
    assert waste.deleted == 1
    assert held(home, refs) == set()
    assert home.store.recall(f"{run_id}/summary") is None


def test_nothing_is_removed_while_a_run_goes_on(home: Home, tracker: Tracker, run: Run) -> None:
    _, refs = run("FINISHED")
    lease.take(home, "11111111-2222-3333-4444-555555555555", "abc")
    try:
        with pytest.raises(RunError, match=r"run abc is going on in process \d+; clean when"):
            cleaning.remove(home, tracker)
    finally:
        lease.release(home, "11111111-2222-3333-4444-555555555555")
    assert held(home, refs) == {"configuration", "labels", "policy"}


def test_the_command_says_what_and_removes_only_when_told(home: Home, run: Run) -> None:
    _, refs = run("FINISHED")
    said = CliRunner().invoke(app, ["clean", "--home", str(home.path)])
    assert "finished runs: " in said.stdout
    assert f"clean --yes --home {home.path}" in said.stdout
    assert held(home, refs) == {"configuration", "labels", "policy"}
    done = CliRunner().invoke(app, ["clean", "--yes", "--json", "--home", str(home.path)])
    assert json.loads(done.stdout)["megabytes_freed"] >= 0
    assert held(home, refs) == {"configuration", "labels"}


def test_label_sets_stay_and_count_as_no_run(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    clips = segments([[0.0, 1], [2, 3]])
    queries = {"comparison": Queries(np.array([[0, 1]]))}
    evidence = Evidence(clips, queries, {"comparison": annotations([0], [Choice.LEFT])})
    version = versions.append(home.store, "people", [LabelBatch(evidence, "run a", 1.0)])
    stray = home.store.put(evidence)
    waste = cleaning.find(home, prepare(home))
    assert waste.objects == (stray,)
    assert (waste.memos, waste.resumable) == ((), 0)
    cleaning.remove(home, prepare(home))
    assert versions.read(home.store, "people") == version
    assert len(version.load(home.store)) == 1
