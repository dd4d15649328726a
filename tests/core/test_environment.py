"""Environments from their configuration: found, seeded, batched, flattened, limited."""

import pickle
import sys
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

from rlhf_core.environments import Environment, GymEnv
from rlhf_core.errors import ConfigurationError, UnsupportedSpaceError
from rlhf_core.in_process import run
from tests.core.environments import OBSERVATIONS, STEPS, Corridor, Fleet
from tests.core.examples import HERE, tiny


class Counted(Corridor):
    """A corridor that counts how often it was made."""

    made = 0

    def __init__(self) -> None:
        super().__init__()
        Counted.made += 1


gymnasium.register("Counted-v0", Counted, max_episode_steps=10)
COUNTED = f"{__name__}:Counted-v0"


def test_an_environment_is_made_by_its_id_with_its_options() -> None:
    environment = GymEnv(f"{HERE}:Corridor-v0", length=5)
    observation, action = environment.spaces()
    assert observation == spaces.Box(0, 5, (1,))
    assert action == spaces.Discrete(2)
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


@pytest.mark.parametrize(
    ("id", "extra"),
    [("minigrid:MiniGrid-DoorKey-5x5-v0", "games"), ("gymnasium_robotics:FetchReach-v4", "robots")],
)
def test_a_missing_extra_is_named_with_its_command(
    id: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, id.partition(":")[0], None)
    with pytest.raises(ConfigurationError, match=rf"pip install 'rlhf-flows\[{extra}\]'`$"):
        GymEnv(id)


PARTS = Environment(id=f"{HERE}:Shapes-v0", options={"observation": "dict"}, time_limit=5)


def test_chosen_parts_of_a_dict_are_observed() -> None:
    space = PARTS.make().unwrapped.observation_space
    assert isinstance(space, gymnasium.spaces.Dict)
    first, second = list(space.spaces)[:2]
    alone = PARTS.model_copy(update={"observation_keys": (first,)}).make()
    assert alone.observation_space == space[first]
    assert alone.observation_space.contains(alone.reset(seed=0)[0])
    both = PARTS.model_copy(update={"observation_keys": (second, first)}).make()
    chosen = gymnasium.spaces.Dict({key: space[key] for key in (first, second)})
    assert both.observation_space == gymnasium.spaces.flatten_space(chosen)


class Reach(gymnasium.Env[Any, Any]):
    """The hand is at 1, and shall be at 3."""

    def __init__(self) -> None:
        place = spaces.Box(-9, 9, (1,), np.float64)
        parts = {"observation": place, "achieved_goal": place, "desired_goal": place}
        self.observation_space = spaces.Dict(parts)
        self.action_space = spaces.Discrete(2)

    def reset(self, *, seed: Any = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        return {
            name: np.array([at])
            for name, at in zip(self.observation_space, (1.0, 3.0, 7.0), strict=True)
        }, {}


def test_a_goal_is_observed_relative_to_what_is_achieved() -> None:
    gymnasium.register("Reach-v0", Reach, max_episode_steps=3)
    try:
        env = Environment(id="Reach-v0", relative_goal=True).make()
        observation, _ = env.reset(seed=0)
        assert env.observation_space.contains(observation)
        assert sorted(observation.tolist()) == [2.0, 7.0]
    finally:
        del gymnasium.registry["Reach-v0"]
    with pytest.raises(ConfigurationError, match=r"relative_goal: expected observations of 'Pend"):
        Environment(id="Pendulum-v1", relative_goal=True).make()


def test_parts_that_there_are_not_are_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"observation_keys: expected keys of .*'sound'"):
        PARTS.model_copy(update={"observation_keys": ("sound",)}).make()
    with pytest.raises(ConfigurationError, match=r"'Pendulum-v1' observes no Dict"):
        Environment(id="Pendulum-v1", observation_keys=("angle",)).make()


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
    observations = env.step(0)[0]
    np.testing.assert_array_equal(observations, [0, 1, 0, 0, 0, 0, 0, 0.5])


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

    observations = play(7)
    np.testing.assert_array_equal(observations, play(7))
    np.testing.assert_array_equal(observations[:, 0], observations[:, 2])
    assert not np.array_equal(observations[:, 0], observations[:, 1])
    assert not np.array_equal(observations, play(8))


def test_a_vector_resets_in_the_step_in_which_an_episode_ends() -> None:
    vector = Environment(id=f"{HERE}:Corridor-v0", count=2).make_vector()
    vector.reset(seed=[0, 1])  # type: ignore[arg-type]
    for _ in range(2):
        vector.step(np.array([1, 0]))
    observations, rewards, terminated, _, info = vector.step(np.array([1, 0]))
    np.testing.assert_array_equal(observations, [[0], [0]])
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


@pytest.mark.parametrize(
    ("optimiser", "steps", "expected"),
    [
        # One to read the spaces of. Then two copies for the first rollouts and for each of three
        # optimisations, and three copies for each of four evaluations, one of them at the start.
        ({"steps": 8, "batch_size": 8, "epochs": 1, "hidden": [8]}, 120, 1 + 2 + 3 + 3 * (2 + 3)),
        # An optimisation makes four copies, one a member, for all its generations and for what is
        # played again for questions.
        ({"kind": "openai_es", "population": 4}, 400, 1 + 2 + 3 + 3 * (4 + 3)),
    ],
    ids=["ppo", "openai_es"],
)
def test_a_run_makes_no_environment_but_those_that_it_steps(
    optimiser: dict[str, Any], steps: int, expected: int
) -> None:
    budget = {"env_steps": steps, "labels": 12, "rounds": 3, "initial_steps": 48}
    experiment = tiny(COUNTED, optimiser=optimiser, budget=budget)
    Counted.made = 0
    fresh = type(experiment).model_validate(experiment.model_dump())
    fresh.check()
    run(fresh)
    assert Counted.made == expected


def test_what_is_known_of_an_environment_travels_with_its_fields() -> None:
    environment = Environment(id=COUNTED)
    Counted.made = 0
    assert environment.horizon() == 10
    assert environment.is_stepped_one_by_one()
    for same in (environment, environment.model_copy(), pickle.loads(pickle.dumps(environment))):
        assert same == environment
        assert same.spaces() == environment.spaces()
        assert same.horizon() == 10
    assert Counted.made == 1
    shorter = environment.model_copy(update={"time_limit": 4})
    assert shorter.horizon() == 4
    assert shorter != environment
    assert environment.horizon() == 10
    assert Counted.made == 2
    # An environment of which nothing is known yet is equal to one that was asked.
    assert Environment(id=COUNTED) == environment
    assert environment.model_dump_json() == Environment(id=COUNTED).model_dump_json()


def test_a_vector_form_is_tried_once(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[int] = []
    reset = Fleet.reset

    def counting(self: Fleet, **arguments: Any) -> Any:
        tried.append(self.num_envs)
        return reset(self, **arguments)

    monkeypatch.setattr(Fleet, "reset", counting)
    environment = Environment(id=f"{HERE}:Fleet-v0")
    assert not environment.is_stepped_one_by_one()
    first = len(tried)
    assert first > 0
    vectors = [environment.make_vector(3) for _ in range(2)]
    assert [type(vector.unwrapped) for vector in vectors] == [Fleet, Fleet]
    assert len(tried) == first
