"""Vector forms that environments bring along: used where they are right, else passed over."""

import gymnasium
import numpy as np
import pytest
from gymnasium.vector import SyncVectorEnv

from rlhf_core.environments import Environment
from rlhf_core.rollouts import collect
from tests.core.environments import Fleet
from tests.core.examples import HERE

FAULTS = ["one_seed", "next_step", "no_final", "no_mask", "no_limit"]


def fleet(**fields: object) -> Environment:
    return Environment(id=f"{HERE}:Fleet-v0", **fields)  # type: ignore[arg-type]


def test_it_does_what_single_environments_do() -> None:
    fast, slow = fleet(time_limit=4).make_vector(6), fleet(time_limit=4, batching="single")
    assert isinstance(fast.unwrapped, Fleet)
    assert fast.unwrapped.limit == 4

    def push(observations: np.ndarray) -> np.ndarray:
        return np.clip(-observations, -1, 1) / 2

    found, rewards = collect(fast, push, 10, list(range(6)))
    expected, right = collect(slow.make_vector(6), push, 10, list(range(6)))
    for one, other in zip(found.trajectories, expected.trajectories, strict=True):
        np.testing.assert_array_equal(one.observations, other.observations)
        np.testing.assert_array_equal(one.actions, other.actions)
        assert (one.terminated, one.truncated) == (other.terminated, other.truncated)
    for mine, theirs in zip(rewards.rewards, right.rewards, strict=True):
        np.testing.assert_allclose(mine.values, theirs.values, rtol=1e-6)


@pytest.mark.filterwarnings("ignore:.*is passed over")
@pytest.mark.parametrize("fault", FAULTS)
def test_one_that_does_something_else_is_passed_over(fault: str) -> None:
    assert isinstance(fleet(options={"fault": fault}).make_vector(3).unwrapped, SyncVectorEnv)


@pytest.mark.parametrize("fields", [{"fixed_horizon": 4}, {"observation_bound": 2.0}])
def test_it_is_passed_over_where_the_environment_is_wrapped(fields: dict[str, float]) -> None:
    vector = fleet(**fields).make_vector(3)
    assert isinstance(vector.unwrapped, SyncVectorEnv)
    assert vector.single_observation_space == fleet(**fields).spaces().observation


def test_gymnasiums_own_cartpole_resets_a_step_late_and_is_passed_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert gymnasium.spec("CartPole-v1").vector_entry_point is not None
    monkeypatch.setattr("rlhf_core.environments.factory.dynamics_of", lambda id, options: None)
    assert isinstance(Environment(id="CartPole-v1").make_vector(2).unwrapped, SyncVectorEnv)
