"""Aliases of the registry move as they should, and the history of their moves only grows."""

from pathlib import Path

import pytest

from rlhf_core.environments.factory import Environment
from rlhf_core.errors import ConfigurationError, RunError
from rlhf_core.retraining.trial import Player
from rlhf_core.stages import initial_policy
from tasks.retraining.contenders import Contender, check_plays, recorded_trial
from tasks.tracking import champions, records
from tasks.tracking.store import Tracker
from tests.core.examples import tiny

NAME = "Corridor"


@pytest.fixture
def tracker(tmp_path: Path) -> Tracker:
    """A registry with three versions of one model, each of a run of its own."""
    (tmp_path / "mlflow.db").touch()
    tracker = Tracker(f"sqlite:///{tmp_path}/mlflow.db", tmp_path.as_uri())
    client = tracker.client()
    client.create_registered_model(NAME)
    for number in range(3):
        run_id = records.create(tracker, "Corridor", f"run {number}", {}, {})
        client.create_model_version(NAME, f"{tmp_path.as_uri()}/{number}", run_id)
    return tracker


def promoted(tracker: Tracker, number: int) -> int | None:
    version = champions.numbered(tracker, NAME, number)
    return champions.promote(tracker, version, "promoted", f"reason {number}")


def test_the_champion_before_becomes_the_previous_one(tracker: Tracker) -> None:
    assert champions.aliased(tracker, NAME, champions.CHAMPION) is None
    assert promoted(tracker, 1) is None
    champions.propose(tracker, champions.numbered(tracker, NAME, 2))
    assert champions.aliases(tracker, NAME) == {"champion": 1, "challenger": 2}
    assert promoted(tracker, 2) == 1
    assert champions.aliases(tracker, NAME) == {"champion": 2, "previous": 1}


def test_a_rollback_lets_the_two_change_places(tracker: Tracker) -> None:
    promoted(tracker, 1)
    with pytest.raises(RunError, match="expected a previous champion, actual: none"):
        champions.roll_back(tracker, NAME, "why")
    promoted(tracker, 3)
    restored, before = champions.roll_back(tracker, NAME, "falls over")
    assert (restored.number, before) == (1, 3)
    assert champions.aliases(tracker, NAME) == {"champion": 1, "previous": 3}


def test_promoting_the_champion_again_loses_no_previous_one(tracker: Tracker) -> None:
    for number in (1, 2, 2):
        promoted(tracker, number)
    assert champions.aliases(tracker, NAME) == {"champion": 2, "previous": 1}


def test_the_history_tells_every_move_in_order(tracker: Tracker) -> None:
    promoted(tracker, 1)
    champions.record(tracker, champions.numbered(tracker, NAME, 2), "refused", 1, "x" * 2000)
    promoted(tracker, 3)
    champions.roll_back(tracker, NAME, "falls over")
    found = champions.history(tracker, NAME)
    assert [(move.what, move.version, move.before) for move in found] == [
        ("promoted", 1, None),
        ("refused", 2, 1),
        ("promoted", 3, 1),
        ("rolled back", 1, 3),
    ]
    assert [len(move.reason) for move in found[:2]] == [len("reason 1"), champions.LONGEST]
    assert found[-1].reason == "falls over"


def test_unknown_versions_and_models_are_refused(tracker: Tracker) -> None:
    with pytest.raises(RunError, match=r"expected a version among \[1, 2, 3\], actual: 7"):
        champions.numbered(tracker, NAME, 7)
    with pytest.raises(RunError, match="model 'Coridor' is not known; did you mean 'Corridor'"):
        champions.model_name(tracker, "Coridor")
    assert champions.model_name(tracker, None) == NAME
    tracker.client().create_registered_model("Other")
    with pytest.raises(RunError, match="--model: expected one of Corridor, Other"):
        champions.model_name(tracker, None)
    promoted(tracker, 1)
    assert champions.model_name(tracker, None) == NAME


def test_who_is_promoted_by_hand_is_measured_anew(tracker: Tracker) -> None:
    promoted(tracker, 1)
    version = champions.numbered(tracker, NAME, 1)
    assert champions.promote_by_hand(tracker, version, "gravity has changed for good") == 1
    version = champions.numbered(tracker, NAME, 1)
    assert version.tags[champions.RECORD_TAG] == champions.ANEW
    assert recorded_trial(tracker, version) is None


@pytest.mark.parametrize("name", ["", "a'b", "a/b", "a:b", "x" * 300])
def test_names_that_no_model_can_have_are_refused(name: str) -> None:
    with pytest.raises(ConfigurationError, match="--model: expected a name of letters"):
        champions.check_name(name)


def test_a_champion_does_not_play_with_other_actions() -> None:
    experiment = tiny("Pendulum-v1")
    player = Player(experiment, initial_policy(experiment))
    champion = Contender(champions.Version(NAME, 3, "run", {}), player, {}, None)
    check_plays(champion, Environment(id="Pendulum-v1", options={"g": 20.0}))
    with pytest.raises(
        ConfigurationError, match=r"environment: expected observations? of the kind"
    ):
        check_plays(champion, Environment(id="CartPole-v1"))


def test_an_empty_registry_says_how_it_is_filled(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").touch()
    with pytest.raises(RunError, match=r"no policy is registered .* `rlhf train` registers one"):
        champions.model_name(Tracker(f"sqlite:///{tmp_path}/mlflow.db"), None)


def test_a_version_of_another_model_is_made_of_the_run_s_policy(tracker: Tracker) -> None:
    run_id = champions.numbered(tracker, NAME, 2).run_id
    assert champions.version_of_run(tracker, run_id, NAME).number == 2
    made = champions.version_of_run(tracker, run_id, "Elsewhere")
    assert (made.name, made.number, made.run_id) == ("Elsewhere", 1, run_id)
    assert champions.version_of_run(tracker, run_id, "Elsewhere").number == 1
    with pytest.raises(RunError, match="run nobody has registered no policy"):
        champions.version_of_run(tracker, "nobody", NAME)
