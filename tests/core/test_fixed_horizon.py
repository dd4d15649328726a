"""Episodes of one length: what comes after an early end says nothing and pays nothing."""

import math
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

from rlhf_core.environments import Environment, GymEnv
from rlhf_core.environments.factory import Batching
from rlhf_core.environments.fixed_horizon import (
    ABSORBING_STEPS,
    EvolvingHorizon,
    absorbing_steps,
)
from rlhf_core.errors import ConfigurationError
from tests.core.examples import HERE


def test_cartpole_lasts_exactly_the_horizon_and_pays_nothing_after_the_fall() -> None:
    env = Environment(id="CartPole-v1", fixed_horizon=50, horizon_form="played").make()
    for seed in range(3):
        first, _ = env.reset(seed=seed)
        assert first[-1] == 0
        rewards, flags, ends = [], [], []
        for _ in range(50):
            observations, reward, terminated, truncated, _ = env.step(1)  # always right: soon falls
            assert env.observation_space.contains(observations)
            assert not terminated
            rewards.append(reward)
            flags.append(observations[-1])
            ends.append(truncated)
        fall = int(sum(rewards))
        assert 8 <= fall <= 12
        assert rewards == [1.0] * fall + [0.0] * (50 - fall)
        assert flags == [0.0] * (fall - 1) + [1.0] * (51 - fall)
        assert ends == [False] * 49 + [True]


def test_the_absorbing_state_repeats_the_last_observation() -> None:
    env = Environment(id=f"{HERE}:Corridor-v0", fixed_horizon=6, horizon_form="played").make()
    env.reset(seed=0)
    observations = [env.step(1)[0] for _ in range(6)]
    np.testing.assert_array_equal(observations, [[1, 0], [2, 0], [3, 1], [3, 1], [3, 1], [3, 1]])


def test_a_new_episode_starts_outside_the_absorbing_state() -> None:
    env = Environment(id=f"{HERE}:Corridor-v0", fixed_horizon=4, horizon_form="played").make()
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
    observations, reward, terminated, truncated, _ = env.step(1)
    assert (reward, terminated, truncated) == (3, False, True)
    np.testing.assert_array_equal(observations, [3, 1])


def test_success_is_still_told_at_the_end() -> None:
    env = Environment(id=f"{HERE}:Corridor-v0", fixed_horizon=5).make()
    env.reset(seed=0)
    assert [env.step(1)[4].get("is_success") for _ in range(3)][-1] is True


def test_the_space_has_one_number_more() -> None:
    space = GymEnv("CartPole-v1", fixed_horizon=5).spaces().observation
    assert space.shape == (5,)
    assert space.contains(np.zeros(5, dtype=np.float32))


def test_a_flattened_dict_may_have_a_fixed_horizon() -> None:
    shapes = GymEnv(
        f"{HERE}:Shapes-v0", fixed_horizon=9, horizon_form="played", observation="dict", ends_at=2
    )
    env = shapes.make()
    env.reset(seed=0)
    assert [env.step(1)[1] for _ in range(9)] == [1, 1, 0, 0, 0, 0, 0, 0, 0]


def test_categories_become_a_row_of_numbers_beside_the_flag() -> None:
    space = GymEnv(f"{HERE}:Shapes-v0", fixed_horizon=9, observation="discrete").spaces()
    assert space.observation.shape == (8,)


def test_an_absorbing_episode_is_cut_off_and_tells_the_steps_that_are_left() -> None:
    env = Environment(id=f"{HERE}:Corridor-v0", fixed_horizon=6).make()
    for _ in range(2):
        env.reset(seed=0)
        steps = [env.step(1) for _ in range(3)]
        assert [reward for _, reward, *_ in steps] == [1, 2, 3]
        assert [ends[1:3] for *ends, _ in [(o, t, c, i) for o, _, t, c, i in steps]] == [
            [False, False], [False, False], [False, True],
        ]  # fmt: skip
        assert [info.get(ABSORBING_STEPS) for *_, info in steps] == [None, None, 3]
        np.testing.assert_array_equal(steps[-1][0], [3, 1])


def test_no_steps_are_left_where_the_last_one_ends_the_episode() -> None:
    env = Environment(id=f"{HERE}:Corridor-v0", fixed_horizon=3).make()
    env.reset(seed=0)
    assert [env.step(1)[4].get(ABSORBING_STEPS) for _ in range(3)] == [None, None, 0]


@pytest.mark.parametrize("batching", ["auto", "single"])
def test_a_batch_tells_the_steps_that_are_left_of_each_copy(batching: Batching) -> None:
    vector = Environment(id="CartPole-v1", fixed_horizon=50, batching=batching).make_vector(3)
    vector.reset(seed=[0, 1, 2])
    ages = np.zeros(3, dtype=np.int64)
    for _ in range(60):
        *_, terminated, truncated, info = vector.step(np.array([1, 0, 1]))
        ages += 1
        left = absorbing_steps(info, 3)
        assert not terminated.any()
        np.testing.assert_array_equal(left, np.where(truncated, 50 - ages, -1))
        ages[truncated] = 0
    assert ages.max() < 20, "episodes begin anew where the pole falls"


def evolving(id: str, horizon: int, **options: bool | int | float | str | None) -> gymnasium.Env:
    return Environment(
        id=id, fixed_horizon=horizon, horizon_form="evolving", options=options
    ).make()


def cartpole_by_hand(
    state: np.ndarray, actions: list[int]
) -> tuple[list[list[float]], list[float]]:
    """States and rewards of seals/CartPole-v0, from the equations of the cart and the pole.

    Barto, Sutton and Anderson 1983: cart of 1 kg, pole of 0.1 kg and 1 m, force of 10 N, explicit
    Euler steps of 0.02 s; 1 is paid while |x| <= 2.4 m and |theta| <= 12 degrees.
    """
    x, x_dot, theta, theta_dot = (float(number) for number in state)
    states, rewards = [], []
    for action in actions:
        force = 10.0 if action else -10.0
        sine, cosine = math.sin(theta), math.cos(theta)
        push = (force + 0.05 * theta_dot**2 * sine) / 1.1
        theta_acc = (9.8 * sine - cosine * push) / (0.5 * (4 / 3 - 0.1 * cosine**2 / 1.1))
        x_acc = push - 0.05 * theta_acc * cosine / 1.1
        x, x_dot = x + 0.02 * x_dot, x_dot + 0.02 * x_acc
        theta, theta_dot = theta + 0.02 * theta_dot, theta_dot + 0.02 * theta_acc
        states.append([x, x_dot, theta, theta_dot])
        rewards.append(float(abs(x) <= 2.4 and abs(theta) <= math.radians(12)))
    return states, rewards


@pytest.mark.parametrize("pattern", [[1], [0], [0, 1], [0] * 30 + [1] * 30])
def test_the_evolving_cartpole_is_that_of_seals(pattern: list[int]) -> None:
    env = evolving("CartPole-v1", 200)
    for seed in range(2):  # Twice, so that a second episode starts afresh.
        env.reset(seed=seed)
        start = np.array(env.unwrapped.state)  # type: ignore[attr-defined]
        actions = (pattern * 200)[:200]
        steps = [env.step(action) for action in actions]
        states, rewards = cartpole_by_hand(start, actions)
        np.testing.assert_allclose(
            [observations for observations, *_ in steps], states, rtol=1e-4, atol=1e-4
        )
        assert [paid for _, paid, *_ in steps] == rewards
        assert sum(rewards) < 200
        assert all(env.observation_space.contains(observations) for observations, *_ in steps)
        assert [terminated for _, _, terminated, _, _ in steps] == [False] * 200
        assert [truncated for _, _, _, truncated, _ in steps] == [False] * 199 + [True]


def test_a_state_that_recovers_is_paid_for_again() -> None:
    env = evolving("CartPole-v1", 500)
    env.reset(seed=0)
    # 2.49 m from the middle, back at 2 m/s, which is 0.04 m a step: 2.45, 2.41, then inside 2.4.
    env.unwrapped.state = np.array([2.49, -2.0, 0.0, 0.0])  # type: ignore[attr-defined]
    assert [env.step(action)[1] for action in (0, 1, 0, 1)] == [0, 0, 1, 1]


def test_the_evolving_state_walks_on_and_a_terminal_one_pays_nothing() -> None:
    env = evolving(f"{HERE}:Corridor-v0", 7)
    env.reset(seed=0)
    steps = [env.step(action) for action in (1, 1, 1, 1, 0, 0, 1)]
    np.testing.assert_array_equal(
        [observations for observations, *_ in steps], [[1], [2], [3], [4], [3], [2], [3]]
    )
    # Place 3 is the end: it pays nothing, whatever the environment pays there.
    assert [rewards for _, rewards, *_ in steps] == [1, 2, 0, 4, 0, 2, 0]
    assert [ends for _, _, *ends, _ in steps] == [[False, False]] * 6 + [[False, True]]


def test_an_evolving_episode_starts_afresh() -> None:
    env = evolving(f"{HERE}:Corridor-v0", 4)
    for _ in range(2):
        np.testing.assert_array_equal(env.reset(seed=0)[0], [0])
        assert [env.step(1)[1] for _ in range(4)] == [1, 2, 0, 4]


def test_the_environments_own_limit_does_not_end_an_evolving_episode() -> None:
    env = evolving(f"{HERE}:Drift-v0", 8)
    env.reset(seed=0)
    ends = [env.step(np.ones(1, np.float32))[2:4] for _ in range(8)]
    assert ends == [(False, False)] * 7 + [(False, True)]


@pytest.mark.parametrize("id", ["Acrobot-v1", "MountainCar-v0", "MountainCarContinuous-v0"])
def test_classic_control_goes_on_without_a_warning(id: str) -> None:
    env = evolving(id, 600)
    env.reset(seed=0)
    env.action_space.seed(0)
    steps = [env.step(env.action_space.sample()) for _ in range(600)]
    assert not any(terminated for _, _, terminated, *_ in steps)
    assert [truncated for *_, truncated, _ in steps] == [False] * 599 + [True]


def test_the_evolving_form_takes_any_observation() -> None:
    shapes = Environment(
        id=f"{HERE}:Shapes-v0",
        fixed_horizon=5,
        horizon_form="evolving",
        options={"observation": "discrete", "ends_at": 2},
    )
    assert shapes.spaces().observation == spaces.Discrete(7)
    env = shapes.make()
    env.reset(seed=0)
    assert [env.step(1)[1] for _ in range(5)] == [1, 0, 1, 1, 1]


class Brittle(gymnasium.Env[np.ndarray, int]):
    """Ends in its first step, or breaks there; cannot be stepped after it."""

    def __init__(self, broken: bool = False) -> None:
        self.observation_space = spaces.Box(0, 1, (1,))
        self.action_space = spaces.Discrete(2)
        self.broken = broken
        self.over = False

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        self.over = self.broken
        return np.zeros(1, np.float32), {}

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        if self.over:
            raise RuntimeError("the game is over")
        self.over = True
        return np.ones(1, np.float32), 1.0, True, False, {}


def test_an_environment_that_breaks_after_its_end_is_named() -> None:
    env = EvolvingHorizon(Brittle(), 3)
    env.reset()
    assert env.step(0)[1:4] == (0.0, False, False)
    with pytest.raises(
        ConfigurationError, match=r"horizon_form: .*Brittle.* after its own end .*game is over"
    ):
        env.step(0)


def test_an_environment_that_breaks_before_its_end_says_so_itself() -> None:
    env = EvolvingHorizon(Brittle(broken=True), 3)
    env.reset()
    with pytest.raises(RuntimeError, match="the game is over"):
        env.step(0)


def test_a_form_without_a_horizon_is_refused() -> None:
    with pytest.raises(ValueError, match=r"horizon_form: 'evolving' .* set fixed_horizon too"):
        Environment(id="CartPole-v1", horizon_form="evolving")


def test_the_absorbing_form_is_the_default() -> None:
    assert Environment(id="CartPole-v1", fixed_horizon=9).horizon_form == "absorbing"
    assert GymEnv("CartPole-v1", fixed_horizon=9, horizon_form="evolving").spaces() == (
        spaces.Box(-np.inf, np.inf, (4,)),
        spaces.Discrete(2),
    )


def test_evolving_observations_are_clipped_and_the_state_is_not() -> None:
    environment = GymEnv(
        "CartPole-v1", fixed_horizon=300, horizon_form="evolving", observation_bound=3
    )
    assert environment.spaces().observation == spaces.Box(-3, 3, (4,))
    env = environment.make()
    env.reset(seed=0)
    observations = np.stack([env.step(1)[0] for _ in range(300)])
    state = env.unwrapped.state  # type: ignore[attr-defined]
    assert np.abs(observations).max() == 3
    np.testing.assert_array_equal(observations[-1], np.clip(state, -3, 3).astype(np.float32))
    assert state[0] > 100  # Six seconds at about 9 m/s^2: the cart is far away.


def test_the_flag_of_the_absorbing_state_is_not_clipped() -> None:
    environment = GymEnv(f"{HERE}:Corridor-v0", fixed_horizon=4, observation_bound=0.5)
    assert environment.spaces().observation == spaces.Box(
        np.array([0, 0], np.float32), np.array([0.5, 1], np.float32)
    )
    env = environment.make()
    env.reset(seed=0)
    observations = [env.step(1)[0] for _ in range(4)]
    np.testing.assert_array_equal(observations, [[0.5, 0], [0.5, 0], [0.5, 1], [0.5, 1]])
