"""Environments from their configuration: found, seeded, batched, flattened, limited."""

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

from rlhf_core.environments import Environment, GymEnv
from rlhf_core.errors import ConfigurationError, UnsupportedSpaceError
from tests.core.environments import OBSERVATIONS, STEPS
from tests.core.examples import HERE


def test_an_environment_is_made_by_its_id_with_its_options() -> None:
    environment = GymEnv(f"{HERE}:Corridor-v0", length=5)
    seen, acted = environment.spaces()
    assert seen == spaces.Box(0, 5, (1,))
    assert acted == spaces.Discrete(2)
    assert environment.options == {"length": 5}


def test_an_environment_need_not_know_of_drawing() -> None:
    # Corridor's constructor takes no render_mode, as Gymnasium's own tutorial allows.
    assert gymnasium.make(f"{HERE}:Corridor-v0") is not None
    assert Environment(id=f"{HERE}:Corridor-v0").make() is not None


@pytest.mark.parametrize(
    ("id", "hint"),
    [
        ("CartPol-v1", "CartPole-v1"),
        ("CartPole-v77", "CartPole-v1"),
        ("pendulum-v1", "Pendulum-v1"),
    ],
)
def test_an_unknown_id_suggests_the_nearest(id: str, hint: str) -> None:
    with pytest.raises(ConfigurationError, match=f"cannot make '{id}': .*did you mean '{hint}'"):
        GymEnv(id)


def test_an_unknown_id_in_a_module_suggests_the_nearest() -> None:
    with pytest.raises(ConfigurationError, match=r"did you mean '.*Corridor-v0'"):
        GymEnv(f"{HERE}:Coridor-v0")


@pytest.mark.parametrize("id", ["", "two words", "no/such/space-v0"])
def test_an_id_that_is_none_is_refused(id: str) -> None:
    with pytest.raises(ConfigurationError, match=f"environment.id: cannot make '{id}'"):
        GymEnv(id)


def test_a_missing_package_is_named() -> None:
    with pytest.raises(ConfigurationError, match=r"No module named 'absent'.*install the package"):
        GymEnv("absent:Thing-v0")


def test_an_unlearnable_space_is_refused_when_it_is_made() -> None:
    with pytest.raises(UnsupportedSpaceError, match="has actions of Dict"):
        GymEnv(f"{HERE}:Shapes-v0", action="dict")


def test_a_time_limit_cuts_episodes_off() -> None:
    env = Environment(id=f"{HERE}:Corridor-v0", time_limit=2).make()
    env.reset(seed=0)
    assert env.step(0)[2:4] == (False, False)
    assert env.step(0)[2:4] == (False, True)


def test_without_one_the_environment_keeps_its_own_time_limit() -> None:
    env = Environment(id=f"{HERE}:Corridor-v0").make()
    env.reset(seed=0)
    assert [env.step(0)[3] for _ in range(10)] == [False] * 9 + [True]


def test_a_dict_is_flattened_with_its_categories_one_hot() -> None:
    env = GymEnv(f"{HERE}:Shapes-v0", observation="dict").make()
    assert env.observation_space.shape == (STEPS + 2,)
    env.reset(seed=0)
    seen = env.step(0)[0]
    np.testing.assert_array_equal(seen, [0, 1, 0, 0, 0, 0, 0, 0.5])


def test_a_tuple_is_flattened() -> None:
    env = GymEnv(f"{HERE}:Shapes-v0", observation="tuple").make()
    env.reset(seed=0)
    np.testing.assert_array_equal(env.step(0)[0], [0, 1, 0, 0, 0, 0, 0, 1, 0])


@pytest.mark.parametrize("kind", ["box", "bytes", "discrete", "multi_discrete", "multi_binary"])
def test_other_observations_are_left_as_they_are(kind: str) -> None:
    environment = GymEnv(f"{HERE}:Shapes-v0", observation=kind)
    assert environment.spaces().observation == OBSERVATIONS[kind]


def test_the_same_seeds_give_the_same_episodes() -> None:
    def play(seed: int) -> np.ndarray:
        vector = Environment(id="Pendulum-v1", count=3).make_vector()
        first, _ = vector.reset(seed=[seed, seed + 1, seed])  # type: ignore[arg-type]
        rows = [first, *(vector.step(np.full((3, 1), 0.5, np.float32))[0] for _ in range(5))]
        vector.close()
        return np.stack(rows)

    seen = play(7)
    np.testing.assert_array_equal(seen, play(7))
    np.testing.assert_array_equal(seen[:, 0], seen[:, 2])
    assert not np.array_equal(seen[:, 0], seen[:, 1])
    assert not np.array_equal(seen, play(8))


def test_a_vector_resets_in_the_step_in_which_an_episode_ends() -> None:
    vector = Environment(id=f"{HERE}:Corridor-v0", count=2).make_vector()
    vector.reset(seed=[0, 1])  # type: ignore[arg-type]
    for _ in range(2):
        vector.step(np.array([1, 0]))
    seen, rewards, terminated, _, info = vector.step(np.array([1, 0]))
    np.testing.assert_array_equal(seen, [[0], [0]])
    np.testing.assert_array_equal(rewards, [3, 0])
    np.testing.assert_array_equal(terminated, [True, False])
    np.testing.assert_array_equal(info["final_obs"][0], [3])
    vector.close()


def test_the_number_of_copies_can_be_asked_for() -> None:
    environment = Environment(id=f"{HERE}:Corridor-v0", count=2)
    assert environment.make_vector().num_envs == 2
    assert environment.make_vector(5).num_envs == 5


@pytest.mark.parametrize(
    ("id", "expected"),
    [("CartPole-v1", True), (f"{HERE}:Picture-v0", True), (f"{HERE}:Corridor-v0", False)],
)
def test_can_render_tells_whether_there_are_pictures(id: str, expected: bool) -> None:
    assert Environment(id=id).can_render() is expected


def test_an_environment_that_may_never_end_needs_a_time_limit() -> None:
    endless = f"{HERE}:Endless-v0"
    with pytest.raises(ConfigurationError, match=r"environment\.time_limit: .* has no time limit"):
        Environment(id=endless).spaces()
    Environment(id=endless, time_limit=7).spaces()


def test_a_fixed_horizon_beyond_the_environments_own_limit_is_not_absorbed_at_that_limit() -> None:
    env = Environment(id=f"{HERE}:Drift-v0", fixed_horizon=8).make()
    env.reset(seed=0)
    steps = [env.step(env.action_space.sample()) for _ in range(8)]
    assert [observation[-1] for observation, *_ in steps] == [0] * 8
    assert [truncated for *_, truncated, _ in steps] == [False] * 7 + [True]


def test_observations_are_clipped_to_a_bound() -> None:
    environment = GymEnv(f"{HERE}:Corridor-v0", observation_bound=1.5)
    assert environment.spaces().observation == spaces.Box(0, 1.5, (1,))
    env = environment.make()
    env.reset(seed=0)
    np.testing.assert_array_equal([env.step(1)[0] for _ in range(3)], [[1], [1.5], [1.5]])


def test_a_bound_keeps_the_numbers_type() -> None:
    env = GymEnv(f"{HERE}:Shapes-v0", observation="dict", observation_bound=0.5).make()
    assert env.observation_space.dtype == env.reset(seed=0)[0].dtype
    assert env.observation_space.contains(env.step(0)[0])


def test_a_bound_that_would_do_nothing_is_refused() -> None:
    with pytest.raises(
        ConfigurationError,
        match=r"observation_bound: expected less than 8, .* actual: 8; it would do nothing",
    ):
        GymEnv("Pendulum-v1", observation_bound=8)


@pytest.mark.parametrize("kind", ["bytes", "discrete", "multi_binary"])
def test_a_bound_needs_floats(kind: str) -> None:
    with pytest.raises(
        UnsupportedSpaceError, match=r"observation_bound: expected Box observations of floats"
    ):
        GymEnv(f"{HERE}:Shapes-v0", observation=kind, observation_bound=0.5)


@pytest.mark.parametrize("bound", [0, -1])
def test_a_bound_is_above_0(bound: float) -> None:
    with pytest.raises(ValueError, match="greater than 0"):
        Environment(id="CartPole-v1", observation_bound=bound)
