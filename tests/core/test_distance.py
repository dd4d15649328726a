"""Distances of rewards whose relation is known: scaled, shifted, shaped, turned round."""

import numpy as np
import pytest

from rlhf_core.evaluation.distance import starc_distance
from rlhf_core.evaluation.values import fit_values

RNG = np.random.default_rng(0)
STEPS, GAMMA = 1500, 0.9
# A random walk that is pulled back to 0: what comes next depends on where one is.
STATES = np.zeros((STEPS + 1, 2))
for step in range(STEPS):
    STATES[step + 1] = 0.8 * STATES[step] + RNG.normal(0, 0.6, 2)
HERE, THERE = STATES[:-1], STATES[1:]
ENDS = np.zeros(STEPS, dtype=bool)
REWARD = HERE[:, 0] - 0.5 * HERE[:, 1] ** 2


def distance(
    first: np.ndarray, second: np.ndarray, ends: np.ndarray = ENDS, discount: float = GAMMA
) -> float | None:
    rng = np.random.default_rng(1)
    return starc_distance(first, second, HERE, THERE, ends, discount, rng)


def apart(first: np.ndarray, second: np.ndarray) -> float:
    """The distance of rewards as they are."""
    ends = first / np.linalg.norm(first) - second / np.linalg.norm(second)
    return float(np.linalg.norm(ends) / 2)


@pytest.mark.parametrize("scale", [1.0, 1e-3, 500.0])
def test_a_scaled_reward_is_the_same(scale: float) -> None:
    assert distance(scale * REWARD, REWARD) == pytest.approx(0, abs=1e-9)


def test_the_opposite_is_as_far_as_can_be() -> None:
    assert distance(-3 * REWARD, REWARD) == pytest.approx(1)


def test_the_distance_is_the_same_both_ways() -> None:
    other = HERE[:, 1]
    assert distance(REWARD, other) == pytest.approx(distance(other, REWARD))


@pytest.mark.parametrize("shift", [0.1, 5.0, -50.0])
@pytest.mark.parametrize("discount", [0.9, 0.97])
def test_a_shifted_reward_is_nearly_the_same(shift: float, discount: float) -> None:
    # Without terminations a constant in every step changes the worth of no policy.
    assert distance(REWARD + shift, REWARD, discount=discount) == pytest.approx(0, abs=0.02)


@pytest.mark.parametrize("size", [0.5, 3.0])
def test_a_shaped_reward_is_nearly_the_same(size: float) -> None:
    def potential(states: np.ndarray) -> np.ndarray:
        return size * np.cos(states @ np.array([0.7, -0.4]))

    shaped = REWARD + GAMMA * potential(THERE) - potential(HERE)
    found = distance(shaped, REWARD)
    assert found is not None
    assert found == pytest.approx(0, abs=0.05)
    # Taken as they are, the two are not the same: this is what the values take out.
    assert apart(shaped, REWARD) > 3 * found


def test_unrelated_rewards_are_near_the_square_root_of_one_half() -> None:
    found = [distance(np.random.default_rng(seed).normal(size=STEPS), REWARD) for seed in range(5)]
    np.testing.assert_allclose(np.array(found, dtype=float), np.sqrt(0.5), atol=0.05)


@pytest.mark.parametrize("constant", [0.0, 1.0, -7.5])
def test_a_constant_has_no_distance(constant: float) -> None:
    assert distance(np.full(STEPS, constant), REWARD) is None
    assert distance(REWARD, np.full(STEPS, constant)) is None


def test_on_one_step_values_are_the_mean_reward_of_where_one_is() -> None:
    # With discount 0 V(s) is the expected reward: linear in s here, so hardly anything is left.
    noise = np.random.default_rng(3).normal(0, 0.1, STEPS)
    rewards = (HERE[:, 0] + noise)[:, None]
    values = fit_values(HERE, THERE, ENDS, rewards, 0.0, np.random.default_rng(1))
    left = values(HERE)[:, 0] - HERE[:, 0]
    assert left.std() < 0.1


def test_values_are_those_of_a_chain_that_can_be_solved() -> None:
    # Two states that follow each other: V_0 = 1 + g V_1, V_1 = g V_0, so V_0 = 1 / (1 - g^2).
    here = np.tile([[0.0], [1.0]], (500, 1))
    there = np.tile([[1.0], [0.0]], (500, 1))
    rewards = np.tile([[1.0], [0.0]], (500, 1))
    ends = np.zeros(1000, dtype=bool)
    values = fit_values(here, there, ends, rewards, 0.5, np.random.default_rng(0))
    found = values(np.array([[0.0], [1.0]]))[:, 0]
    np.testing.assert_allclose(found, [4 / 3, 2 / 3], rtol=0.02)


def test_a_final_state_has_no_value() -> None:
    # Every step ends the episode: V is the reward of the step.
    here = np.tile([[0.0], [1.0]], (500, 1))
    rewards = np.tile([[1.0], [3.0]], (500, 1))
    values = fit_values(here, 0 * here, np.ones(1000, bool), rewards, 0.9, np.random.default_rng(0))
    np.testing.assert_allclose(values(np.array([[0.0], [1.0]]))[:, 0], [1, 3], rtol=0.02)
