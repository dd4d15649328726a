"""Batched classic control does, step for step, what Gymnasium's single environments do."""

import copy
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode, SyncVectorEnv, VectorEnv
from scipy.stats import ks_2samp

from rlhf_core.environments import Environment
from rlhf_core.environments.batched import BatchedEnv, dynamics_of
from rlhf_core.environments.batched.pendulum import Pendulum
from rlhf_core.environments.batched.point_maze import PointMaze
from rlhf_core.environments.batched.point_robot import PointRobot
from rlhf_core.errors import ConfigurationError

STEPS, COPIES = 500, 20
"""10,000 steps altogether."""
FORMS: dict[str, dict[str, Any]] = {
    "plain": {},
    "short": {"time_limit": 37},
    "absorbing": {"fixed_horizon": 150},
    "played": {"fixed_horizon": 150, "horizon_form": "played"},
    "evolving": {"fixed_horizon": 150, "horizon_form": "evolving"},
    "bounded": {"fixed_horizon": 150, "horizon_form": "evolving", "observation_bound": 0.5},
}
TOLERANCE = {
    "CartPole-v1": 0.0,
    "MountainCar-v0": 0.0,
    "Pendulum-v1": 1e-9,  # Python squares a torque of single precision with another rounding
    "Acrobot-v1": 1e-6,  # the first observation is computed with single precision
    "MountainCarContinuous-v0": 1e-5,  # so is everything there
}
"""Their states never come apart by more than rounding, chaotic as some of them are."""
OPTIONS = [
    ("CartPole-v1", {"sutton_barto_reward": True}),
    ("Pendulum-v1", {"g": 9.81}),
    ("MountainCar-v0", {"goal_velocity": 0.03}),
    ("MountainCarContinuous-v0", {"goal_velocity": 0.03}),
]


MAZES = ["rlhf/PointMazeLeft-v0", "rlhf/PointMazeRight-v0"]


def pushed(id: str, env: VectorEnv[Any, Any, Any], actions: np.ndarray, seen: np.ndarray) -> Any:
    """Random actions; those of the mountain cars push with their speed, so that they arrive."""
    if id.startswith("MountainCar"):
        swing = np.sign(seen[:, 1])
        return (swing + 1).astype(np.int64) if "Cont" not in id else swing[:, None]
    return actions


def together(environment: Environment, steps: int = STEPS) -> int:
    """Play the batch beside single environments; returns how many episodes ended."""
    tolerance = TOLERANCE.get(environment.id, 1e-12)
    batch = environment.make_vector(COPIES)
    single = environment.model_copy(update={"batching": "single"}).make_vector(COPIES)
    assert isinstance(batch.unwrapped, BatchedEnv)
    assert isinstance(single.unwrapped, SyncVectorEnv)
    assert batch.single_observation_space == single.single_observation_space
    assert batch.single_action_space == single.single_action_space
    single.action_space.seed(0)
    seeds = list(range(100, 100 + COPIES))
    observations, expected = batch.reset(seed=seeds)[0], single.reset(seed=seeds)[0]  # type: ignore[arg-type]
    ended = 0
    for _ in range(steps):
        np.testing.assert_allclose(observations, expected, rtol=tolerance, atol=tolerance)
        assert observations.dtype == expected.dtype
        actions = pushed(environment.id, single, single.action_space.sample(), expected)
        observations, *rewards, info = batch.step(actions)
        expected, *right, told = single.step(actions)
        for one, other in zip(rewards, right, strict=True):
            np.testing.assert_allclose(one, other, rtol=tolerance, atol=tolerance)
        done = right[1] | right[2]
        ended += int(done.sum())
        if done.any():
            np.testing.assert_array_equal(info["_final_obs"], told["_final_obs"])
            np.testing.assert_allclose(
                info["final_obs"][done],
                np.stack(list(told["final_obs"][done])),
                rtol=tolerance,
                atol=tolerance,
            )
        else:
            assert "final_obs" not in info
    single.close()
    return ended


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("id", TOLERANCE)
def test_ten_thousand_steps_are_those_of_single_environments(id: str, form: str) -> None:
    assert together(Environment(id=id, **FORMS[form])) > 0


@pytest.mark.parametrize(("id", "options"), OPTIONS)
def test_options_reach_the_batch(id: str, options: dict[str, Any]) -> None:
    together(Environment(id=id, options=options), steps=250)


@pytest.mark.parametrize("id", TOLERANCE)
def test_first_states_drawn_together_are_distributed_as_single_ones(id: str) -> None:
    count = 4000
    batch = Environment(id=id).make_vector(count)
    observations = batch.reset(seed=0)[0]
    single = gymnasium.make(id)
    expected = np.stack([single.reset(seed=seed)[0] for seed in range(count)])
    for column in range(observations.shape[1]):
        # Two-sample Kolmogorov-Smirnov at a level of 1e-4; constant columns are equal.
        if expected[:, column].std() == 0:
            np.testing.assert_array_equal(observations[:, column], expected[:, column])
        else:
            assert ks_2samp(observations[:, column], expected[:, column]).pvalue > 1e-4
    # Two floats of single precision may be alike by chance.
    assert len(np.unique(observations, axis=0)) > 0.99 * count


def test_later_episodes_are_drawn_anew_with_one_generator_too() -> None:
    batch = Environment(id="CartPole-v1", time_limit=3).make_vector(50)
    first = batch.reset(seed=3)[0]
    for _ in range(3):
        again, *_ = batch.step(np.ones(50, dtype=np.int64))
    assert (np.abs(again) <= 0.05).all()
    assert not np.isin(again, first).any()
    np.testing.assert_array_equal(batch.reset(seed=3)[0], first)


def test_states_can_be_given_and_read() -> None:
    batch = BatchedEnv(Pendulum(), 2, 200)
    hanging = np.array([[np.pi, 0.0], [0.0, 0.0]])
    observations, _ = batch.reset(seed=0, options={"state": hanging})
    np.testing.assert_allclose(observations, [[-1, 0, 0], [1, 0, 0]], atol=1e-6)
    np.testing.assert_array_equal(batch.state, hanging)
    _, rewards, *_ = batch.step(np.zeros((2, 1), dtype=np.float32))
    np.testing.assert_allclose(rewards, [-(np.pi**2), 0])
    with pytest.raises(ValueError, match=r"expected shape \(2, 2\), actual: \(1, 2\)"):
        batch.reset(options={"state": hanging[:1]})


def test_wrong_arguments_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="num_envs: expected at least 1, actual: 0"):
        BatchedEnv(Pendulum(), 0, 200)
    with pytest.raises(ValueError, match="expected 2 seeds, actual: 3"):
        BatchedEnv(Pendulum(), 2, 200).reset(seed=[1, 2, 3])


def test_an_environment_without_a_batched_form_has_none() -> None:
    assert dynamics_of("Taxi-v4", {}) is None
    assert dynamics_of("CartPole-v1", {"unheard_of": 1}) is None


def test_an_environment_of_ones_own_under_a_known_id_is_stepped_as_it_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    spec = copy.copy(gymnasium.spec("Pendulum-v1"))
    spec.entry_point = "elsewhere:Pendulum"
    monkeypatch.setitem(gymnasium.registry, "Pendulum-v1", spec)
    assert dynamics_of("Pendulum-v1", {}) is None


@pytest.mark.parametrize("id", TOLERANCE)
def test_gymnasium_finds_batch_and_single_under_one_id(id: str) -> None:
    options: dict[str, Any] = {"fixed_horizon": 30, "horizon_form": "played"}
    batch = gymnasium.make_vec(f"rlhf/{id}", num_envs=3, **options)
    single = gymnasium.make(f"rlhf/{id}", **options)
    assert isinstance(batch.unwrapped, BatchedEnv)
    assert batch.metadata["autoreset_mode"] == AutoresetMode.SAME_STEP
    assert batch.single_observation_space == single.observation_space
    np.testing.assert_allclose(
        batch.reset(seed=[5, 6, 7])[0][0],  # type: ignore[arg-type]
        single.reset(seed=5)[0],
        atol=1e-6,
    )
    lasted = 0
    while not single.step(single.action_space.sample())[3]:
        lasted += 1
    assert lasted == 29
    plain = gymnasium.make_vec(f"rlhf/{id}", num_envs=2, max_episode_steps=5)
    plain.reset(seed=0)
    cut = [plain.step(plain.action_space.sample())[3].any() for _ in range(5)]
    assert cut == [False] * 4 + [True]


@pytest.mark.parametrize("id", MAZES)
def test_the_mazes_too_are_those_of_single_points(id: str) -> None:
    assert together(Environment(id=id)) > 0
    assert together(Environment(id=id, options={"anywhere": True})) > 0
    assert gymnasium.make_vec(id, num_envs=3).spec is not None


def test_a_point_slides_along_the_barrier_and_passes_at_its_end() -> None:
    start = np.array([[0.0, -0.05], [-0.45, -0.05], [0.9, -0.05], [0.0, 0.05], [0.0, 0.7]])
    batch = BatchedEnv(PointMaze("left"), 5, 100)
    batch.reset(seed=0, options={"state": start})
    push = np.array([[0.5, 1], [-1, 1], [1, 1], [0, -1], [0, 0]], dtype=np.float32)
    observations, rewards, *_ = batch.step(push)
    # The second is at x = -0.5, the beginning of the gap, just when it comes to y = 0.
    expected = [[0.05, -0.01], [-0.55, 0.05], [1.0, -0.01], [0.0, 0.01], [0.0, 0.7]]
    np.testing.assert_allclose(observations, expected, atol=1e-6)
    # Distance to the target before the step, and the cost of 0.001 |push|^2.
    np.testing.assert_allclose(rewards[[0, 3, 4]], [-0.75125, -0.651, 0.0], atol=1e-9)
    other = BatchedEnv(PointMaze("right"), 5, 100)
    other.reset(seed=0, options={"state": start * [-1, 1]})
    mirrored, same, *_ = other.step(push * np.array([-1, 1], dtype=np.float32))
    np.testing.assert_allclose(mirrored, np.array(expected) * [-1, 1], atol=1e-6)
    np.testing.assert_allclose(same, rewards)
    with pytest.raises(ConfigurationError, match="expected opening 'left' or 'right', actual: 'up"):
        PointMaze("up")


def test_the_point_robot_is_that_of_single_robots() -> None:
    id = "rlhf/PointRobot-v0"
    assert together(Environment(id=id)) > 0
    assert together(Environment(id=id, options={"goal": 2.5}, contexts={"goal": (0, 6.28)})) > 0
    check_env(gymnasium.make(id).unwrapped, skip_render_check=True)


def test_the_point_robot_is_rewarded_by_its_distance_to_a_goal_that_it_cannot_observe() -> None:
    start = np.array([[0.0, 0.0], [-0.9, 0.0], [1.95, 0.0]])
    batch = BatchedEnv(PointRobot(goal=np.pi), 3, 20)
    batch.reset(seed=0, options={"state": start})
    push = np.array([[3.0, 0], [-1, 0], [1, -0.5]], dtype=np.float32)
    observations, rewards, *_ = batch.step(push)
    np.testing.assert_allclose(observations, [[0.1, 0], [-1, 0], [2, -0.05]], atol=1e-6)
    np.testing.assert_allclose(rewards, [-1.1, 0, -np.hypot(3, 0.05)], atol=1e-9)
    with pytest.raises(
        ConfigurationError, match="expected goal to be an angle in rad, actual: nan"
    ):
        PointRobot(goal=float("nan"))
