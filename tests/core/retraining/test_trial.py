"""Trials: the same start states for both, and one independent observation an episode."""

import numpy as np
import pytest
from gymnasium import spaces

from rlhf_core.configuration import override
from rlhf_core.errors import ConfigurationError
from rlhf_core.retraining.trial import (
    MOST_FEATURES,
    Observer,
    Player,
    Trial,
    environment_of,
    play_trial,
)
from rlhf_core.stages import initial_policy
from tests.core.examples import tiny


def played(environment: str, seed: int, episodes: int = 30) -> Trial:
    experiment = tiny(environment)
    player = Player(experiment, initial_policy(experiment))
    return play_trial(player, environment_of(experiment), episodes, seed)


def test_one_seed_gives_the_same_trial_and_another_one_other_starts() -> None:
    first, again, other = (played("Pendulum-v1", seed, 5) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.evaluation.returns, again.evaluation.returns)
    np.testing.assert_array_equal(first.observations, again.observations)
    assert (first.evaluation.returns != other.evaluation.returns).all()


def test_two_policies_begin_in_the_same_states() -> None:
    """After one step of Pendulum the returns of equal policies are equal, of others alike."""
    experiment = tiny("Pendulum-v1")
    other = override(experiment, {"seed": 9})
    environment = environment_of(experiment).model_copy(update={"time_limit": 1})
    first, second = (
        play_trial(Player(e, initial_policy(e)), environment, 40, 3) for e in (experiment, other)
    )
    # The first observation is that of the start; there is no other one.
    np.testing.assert_array_equal(first.observations, second.observations)
    assert np.corrcoef(first.evaluation.returns, second.evaluation.returns)[0, 1] > 0.99


def test_each_step_of_the_first_episode_is_observed_equally_often() -> None:
    copies, line = 8000, spaces.Box(-10, 10, (1,))
    observer = Observer(lambda observations: observations, line, np.random.default_rng(0))
    observer.reset(np.ones(copies, dtype=bool))
    ended = np.arange(copies) < copies // 2
    for step in range(4):
        observer(np.full((copies, 1), step, dtype=np.float32))
        observer.reset(ended & (step == 1))
    short, long = observer.sampled()[ended, 0], observer.sampled()[~ended, 0]
    assert np.bincount(short.astype(int), minlength=4)[2:].tolist() == [0, 0]
    np.testing.assert_allclose(np.bincount(short.astype(int)), 2000, rtol=0.07)
    np.testing.assert_allclose(np.bincount(long.astype(int)), 1000, rtol=0.1)


def test_of_large_observations_some_features_are_kept() -> None:
    picture = spaces.Box(0, 255, (10, 20), np.uint8)
    observer = Observer(lambda observations: observations, picture, np.random.default_rng(0))
    observer.reset(np.ones(3, dtype=bool))
    observer(np.full((3, 10, 20), 255, dtype=np.uint8))
    np.testing.assert_array_equal(observer.sampled(), np.ones((3, MOST_FEATURES)))


def test_a_hidden_true_reward_is_refused_unless_another_environment_shows_it() -> None:
    experiment = tiny("Pendulum-v1")
    blind = experiment.environment.model_copy(update={"true_reward": False})
    hidden = experiment.model_copy(update={"environment": blind})
    with pytest.raises(ConfigurationError, match=r"environment\.true_reward: expected true, since"):
        environment_of(hidden)
    settings = experiment.evaluation.model_copy(update={"environment": experiment.environment})
    assert environment_of(hidden.model_copy(update={"evaluation": settings})).true_reward
