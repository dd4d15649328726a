"""Episodes of one length: what comes after an early end says nothing and pays nothing."""

import numpy as np
import pytest

from rlhf_core.environments import Environment, GymEnv
from rlhf_core.errors import UnsupportedSpaceError
from tests.core.examples import HERE


def test_cartpole_lasts_exactly_the_horizon_and_pays_nothing_after_the_fall() -> None:
    env = Environment(id="CartPole-v1", fixed_horizon=50).make()
    for seed in range(3):
        first, _ = env.reset(seed=seed)
        assert first[-1] == 0
        rewards, flags, ends = [], [], []
        for _ in range(50):
            seen, reward, terminated, truncated, _ = env.step(1)  # always right: soon falls
            assert env.observation_space.contains(seen)
            assert not terminated
            rewards.append(reward)
            flags.append(seen[-1])
            ends.append(truncated)
        fall = int(sum(rewards))
        assert 8 <= fall <= 12
        assert rewards == [1.0] * fall + [0.0] * (50 - fall)
        assert flags == [0.0] * (fall - 1) + [1.0] * (51 - fall)
        assert ends == [False] * 49 + [True]


def test_the_absorbing_state_repeats_the_last_observation() -> None:
    env = Environment(id=f"{HERE}:Corridor-v0", fixed_horizon=6).make()
    env.reset(seed=0)
    seen = [env.step(1)[0] for _ in range(6)]
    np.testing.assert_array_equal(seen, [[1, 0], [2, 0], [3, 1], [3, 1], [3, 1], [3, 1]])


def test_a_new_episode_starts_outside_the_absorbing_state() -> None:
    env = Environment(id=f"{HERE}:Corridor-v0", fixed_horizon=4).make()
    for _ in range(2):
        first, _ = env.reset(seed=0)
        np.testing.assert_array_equal(first, [0, 0])
        assert [env.step(1)[1] for _ in range(4)] == [1, 2, 3, 0]


def test_a_horizon_shorter_than_the_episode_cuts_it_off() -> None:
    env = Environment(id=f"{HERE}:Corridor-v0", fixed_horizon=2).make()
    env.reset(seed=0)
    assert env.step(1)[1:4] == (1, False, False)
    assert env.step(1)[1:4] == (2, False, True)


def test_the_end_of_the_horizon_may_be_the_end_of_the_episode() -> None:
    env = Environment(id=f"{HERE}:Corridor-v0", fixed_horizon=3).make()
    env.reset(seed=0)
    env.step(1)
    env.step(1)
    seen, reward, terminated, truncated, _ = env.step(1)
    assert (reward, terminated, truncated) == (3, False, True)
    np.testing.assert_array_equal(seen, [3, 1])


def test_success_is_still_told_at_the_end() -> None:
    env = Environment(id=f"{HERE}:Corridor-v0", fixed_horizon=5).make()
    env.reset(seed=0)
    assert [env.step(1)[4].get("is_success") for _ in range(5)][-1] is True


def test_the_space_has_one_number_more() -> None:
    space = GymEnv("CartPole-v1", fixed_horizon=5).spaces().observation
    assert space.shape == (5,)
    assert space.contains(np.zeros(5, dtype=np.float32))


def test_a_flattened_dict_may_have_a_fixed_horizon() -> None:
    shapes = GymEnv(f"{HERE}:Shapes-v0", fixed_horizon=9, observation="dict", ends_at=2)
    env = shapes.make()
    env.reset(seed=0)
    assert [env.step(1)[1] for _ in range(9)] == [1, 1, 0, 0, 0, 0, 0, 0, 0]


def test_observations_that_are_no_row_of_numbers_are_refused() -> None:
    with pytest.raises(
        UnsupportedSpaceError,
        match=r"environment.fixed_horizon: expected one-dimensional Box .* actual: Discrete\(7\)",
    ):
        GymEnv(f"{HERE}:Shapes-v0", fixed_horizon=9, observation="discrete")
