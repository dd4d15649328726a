"""Episodes that people play: what is recorded is what was played."""

from io import BytesIO
from typing import Any

import numpy as np
import pytest
from gymnasium import spaces
from PIL import Image

from rlhf_core.environments.factory import Environment
from rlhf_core.errors import ConfigurationError, RunError, UnsupportedSpaceError
from rlhf_core.evaluation.clips import replay
from rlhf_core.labelling.play import PlayedEpisode, PlaySessions, play_actions
from rlhf_core.segments import cut
from rlhf_core.types import Rollouts

PICTURE = Environment(id="tests.core.environments:Picture-v0")
"""Six steps; draws itself in grey, 40 brighter at each, 4 frames a second."""


def grey(content: bytes) -> float:
    return float(np.asarray(Image.open(BytesIO(content)).convert("RGB")).mean())


def test_an_episode_is_recorded_end_to_end() -> None:
    sessions = PlaySessions()
    name, episode = sessions.start(PICTURE, "ada")
    assert (episode.mode, episode.rate) == ("turn", 0.0)
    assert grey(sessions.frame(name, "ada")) == pytest.approx(0, abs=2)
    actions = [0, 1, 1, 0, 1, 0]
    states = [sessions.step(name, "ada", action) for action in actions]
    assert [(state.steps, state.done) for state in states] == [
        (1, False), (2, False), (3, False), (4, False), (5, False), (6, True),
    ]  # fmt: skip
    assert grey(sessions.frame(name, "ada")) == pytest.approx(240, abs=2)
    assert sessions.step(name, "ada", 1).steps == 6, "after the end nothing happens"
    played = sessions.end(name, "ada", cost=2.0)
    (trajectory,) = played.trajectories()
    assert trajectory.actions.tolist() == actions
    assert trajectory.observations.tolist() == [0, 1, 2, 3, 4, 5, 6]
    assert played.terminated.tolist() == [True]
    assert played.cost.tolist() == [2.0]
    assert 0 < played.seconds[0] < 60
    with pytest.raises(RunError, match="this episode is over"):
        sessions.step(name, "ada", 0)


def test_an_episode_that_is_left_is_truncated_and_can_be_replayed() -> None:
    environment = Environment(id="Pendulum-v1", batching="single")
    episode = PlayedEpisode(environment, 7)
    assert (episode.mode, episode.rate, episode.idle) == ("rate", 15.0, 1)
    for action in (0, 1, 2, 2):
        episode.step(action)
    trajectory = episode.trajectory()
    episode.close()
    assert trajectory.actions.ravel().tolist() == [-2, 0, 2, 2]
    assert (trajectory.terminated, trajectory.truncated) == (False, True)
    segments = cut(Rollouts((trajectory,)), np.array([[0, 1]]), 3, replayable=True)
    observations, frames = replay(environment, segments, 0)
    np.testing.assert_array_equal(observations, trajectory.observations[1:])
    assert frames is not None


def test_nobody_steps_an_episode_of_another() -> None:
    sessions = PlaySessions()
    name, _ = sessions.start(PICTURE, "ada")
    for call in (
        lambda: sessions.step(name, "eve", 0),
        lambda: sessions.frame(name, "eve"),
        lambda: sessions.end(name, "eve"),
        lambda: sessions.step("guess", "ada", 0),
    ):
        with pytest.raises(RunError, match="this episode is over"):
            call()
    assert sessions.step(name, "ada", 0).steps == 1
    sessions.close()


def test_an_owner_plays_one_episode_at_a_time_and_all_together_not_too_many() -> None:
    sessions = PlaySessions(most=2)
    first, _ = sessions.start(PICTURE, "ada")
    second, _ = sessions.start(PICTURE, "ada")
    with pytest.raises(RunError, match="over"):
        sessions.step(first, "ada", 0)
    sessions.start(PICTURE, "bob")
    with pytest.raises(RunError, match="2 people play at this moment"):
        sessions.start(PICTURE, "eve")
    assert sessions.step(second, "ada", 0).steps == 1
    sessions.close()


def test_an_idle_episode_makes_room() -> None:
    sessions = PlaySessions(most=1, idle_seconds=-1.0)
    sessions.start(PICTURE, "ada")
    name, _ = sessions.start(PICTURE, "bob")
    assert sessions.step(name, "bob", 0).steps == 1
    sessions.close()


def test_an_episode_without_a_step_is_no_demonstration_and_goes_on() -> None:
    sessions = PlaySessions()
    name, _ = sessions.start(PICTURE, "ada")
    with pytest.raises(ConfigurationError, match="expected at least one step, actual: none"):
        sessions.end(name, "ada")
    with pytest.raises(ConfigurationError, match="expected 0 to 1, actual: 2"):
        sessions.step(name, "ada", 2)
    assert sessions.step(name, "ada", 1).steps == 1
    sessions.close()


def test_an_environment_that_does_not_draw_itself_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="does not draw itself, so nobody can play it"):
        PlayedEpisode(Environment(id="tests.core.environments:Drift-v0"), 0)


@pytest.mark.parametrize(
    ("space", "keys", "values", "idle"),
    [
        (spaces.Discrete(2), ["ArrowLeft", "ArrowRight"], [0, 1], 0),
        (spaces.Discrete(3), ["ArrowLeft", "ArrowDown", "ArrowRight"], [0, 1, 2], 1),
        (spaces.Discrete(4), ["1", "2", "3", "4"], [0, 1, 2, 3], 0),
        (spaces.Box(-2, 4, (1,)), ["ArrowLeft", "ArrowDown", "ArrowRight"], [[-2], [1], [4]], 1),
    ],
)
def test_actions_have_keys(space: Any, keys: list[str], values: list[Any], idle: int) -> None:
    chosen = play_actions(space)
    assert [action.key for action in chosen.actions] == keys
    assert [np.asarray(action.value).tolist() for action in chosen.actions] == values
    assert chosen.idle == idle


@pytest.mark.parametrize("space", [spaces.Discrete(10), spaces.Box(-1, 1, (2,))])
def test_actions_without_keys_are_refused(space: Any) -> None:
    with pytest.raises(UnsupportedSpaceError, match="1 to 9 discrete actions or with one number"):
        play_actions(space)
