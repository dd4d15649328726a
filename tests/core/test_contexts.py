"""Contexts: parameters of the physics that are drawn for every episode."""

from typing import Any

import gymnasium
import numpy as np
import pytest
from pydantic import ValidationError

from rlhf_core.configuration import from_mapping
from rlhf_core.environments import Environment
from rlhf_core.environments.batched import BatchedEnv
from rlhf_core.environments.contexts.ranges import bounds, check_ranges, draw
from rlhf_core.environments.episodes import episode_starts, restart
from rlhf_core.errors import ConfigurationError
from tests.core.test_batched import together

CARTPOLE = {"length": [0.25, 0.75], "mass": [[0.01, 0.05], [0.5, 1.0]], "force": 7, "gravity": 9}
CONTEXTS: dict[str, dict[str, Any]] = {
    "CartPole-v1": CARTPOLE,
    "Pendulum-v1": {"mass": [0.75, 1.25], "length": [[0.5, 0.75], [1.25, 1.5]], "gravity": 9.0},
    "Acrobot-v1": {"mass": [0.5, 1.5], "length": [0.75, 1.25], "inertia": [0.75, 1.25]},
    "MountainCar-v0": {"force": [0.0015, 0.005], "gravity": [0.001, 0.005]},
}


def test_numbers_are_drawn_uniformly_from_a_union_of_intervals() -> None:
    ranges = {
        "a": 3.0,
        "b": (1.0, 2.0),
        "c": ((0.0, 1.0), (5.0, 8.0)),
        "d": ((1.0, 1.0), (4.0, 4.0)),
    }
    drawn = draw(ranges, np.random.default_rng(0), 40_000)
    shares = np.random.default_rng(0).random((40_000, 4))
    np.testing.assert_array_equal(drawn[:, 0], 3.0)
    np.testing.assert_allclose(drawn[:, 1], 1 + shares[:, 1])
    along = 4 * shares[:, 2]
    np.testing.assert_allclose(drawn[:, 2], np.where(along < 1, along, along + 4))
    np.testing.assert_array_equal(drawn[:, 3], np.where(shares[:, 3] < 0.5, 1.0, 4.0))
    assert bounds(ranges["c"]) == (0.0, 8.0)


@pytest.mark.parametrize("visible", [False, True], ids=["hidden", "visible"])
@pytest.mark.parametrize("id", CONTEXTS)
def test_copies_do_what_single_environments_do_in_the_same_contexts(id: str, visible: bool) -> None:
    forms: list[dict[str, Any]] = [{}, {"fixed_horizon": 60}]
    for form in forms:
        environment = Environment(
            id=id, contexts=CONTEXTS[id], context_visible=visible, time_limit=None, **form
        )
        together(environment, steps=150)


def test_a_context_of_the_usual_numbers_changes_nothing() -> None:
    usual = {"length": 0.5, "mass": 0.1, "force": 10.0, "gravity": 9.8}
    plain = Environment(id="CartPole-v1").make_vector(8).unwrapped
    same = Environment(id="CartPole-v1", contexts=usual).make_vector(8).unwrapped
    assert isinstance(same, BatchedEnv)
    assert isinstance(plain, BatchedEnv)
    start = np.random.default_rng(1).uniform(-0.1, 0.1, (8, 4))
    contexts = np.tile([*usual.values()], (8, 1))
    plain.reset(seed=0, options={"state": start})
    same.reset(seed=0, options={"state": np.concatenate([contexts, start], axis=1)})
    for step in range(8):
        actions = np.full(8, step % 2)
        for one, other in zip(plain.step(actions)[:4], same.step(actions)[:4], strict=True):
            np.testing.assert_array_equal(one, other)


def test_a_visible_context_ends_the_observation_and_the_info_names_it() -> None:
    environment = Environment(id="CartPole-v1", contexts=CARTPOLE, context_visible=True)
    env = environment.make()
    observation, info = env.reset(seed=3)
    assert env.observation_space.contains(observation)
    assert [*info["context"]] == [*CARTPOLE]
    np.testing.assert_allclose(observation[4:], [*info["context"].values()], rtol=1e-6)
    assert env.unwrapped.length == info["context"]["length"]  # type: ignore[attr-defined]
    assert env.unwrapped.total_mass == 1.0 + info["context"]["mass"]  # type: ignore[attr-defined]


@pytest.mark.parametrize("batching", ["auto", "single"])
def test_an_episode_is_begun_again_in_its_context(batching: Any) -> None:
    environment = Environment(
        id="CartPole-v1", contexts=CARTPOLE, context_visible=True, batching=batching
    )
    vector = environment.make_vector(3)
    observations, _ = vector.reset(seed=[5, 6, 7])  # type: ignore[arg-type]
    seen = 0
    while seen < 6:
        firsts = [restart(environment.make(), str(s)) for s in episode_starts(vector, range(3))]
        np.testing.assert_array_equal(firsts, observations)
        done = np.zeros(3, dtype=bool)
        while not done.all():
            after, _, terminated, _, _ = vector.step(np.ones(3, dtype=np.int64))
            observations = np.where((terminated & ~done)[:, None], after, observations)
            done |= terminated
        observations, _ = vector.reset(options={"reset_mask": np.ones(3, dtype=bool)})
        seen += 3


class Spring(gymnasium.Env[Any, Any]):
    """An environment of somebody's own, with numbers among its attributes."""

    def __init__(self) -> None:
        self.observation_space = gymnasium.spaces.Box(-9, 9, (1,), np.float32)
        self.action_space = gymnasium.spaces.Discrete(2)
        self.stiffness, self.broken = 1.0, False

    def reset(self, *, seed: Any = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        return np.array([self.stiffness], np.float32), {}

    def step(self, action: Any) -> Any:
        return np.array([self.stiffness], np.float32), 0.0, False, False, {}


def test_numeric_attributes_of_other_environments_are_parameters() -> None:
    gymnasium.register("Spring-v0", Spring, max_episode_steps=3)
    try:
        environment = Environment(id="Spring-v0", contexts={"stiffness": [2.0, 3.0]})
        observations, _ = environment.make_vector(4).reset(seed=[0, 1, 2, 3])  # type: ignore[arg-type]
        assert len({*observations.ravel().tolist()}) == 4
        assert ((observations >= 2) & (observations <= 3)).all()
        for name in ("broken", "stifness"):
            with pytest.raises(ConfigurationError, match=f"no parameter '{name}'.*stiffness"):
                Environment(id="Spring-v0", contexts={name: 1.0}).make()
    finally:
        del gymnasium.registry["Spring-v0"]


def test_a_robot_is_stronger_heavier_and_slips_less() -> None:
    pytest.importorskip("mujoco")
    contexts: dict[str, Any] = {"power": 2.0, "density": 1250, "friction": 0.5, "gravity": 3.7}
    plain = Environment(id="InvertedPendulum-v5").make().unwrapped.model  # type: ignore[attr-defined]
    env = Environment(id="InvertedPendulum-v5", contexts=contexts).make()
    for _ in range(2):  # A second episode starts from the same originals.
        env.reset(seed=0)
        model = env.unwrapped.model  # type: ignore[attr-defined]
        np.testing.assert_allclose(model.actuator_gear, 2 * plain.actuator_gear)
        np.testing.assert_allclose(model.body_mass, 1.25 * plain.body_mass)
        np.testing.assert_allclose(model.geom_friction[:, 0], 0.5 * plain.geom_friction[:, 0])
        np.testing.assert_allclose(model.geom_friction[:, 1:], plain.geom_friction[:, 1:])
        np.testing.assert_allclose(model.opt.gravity, [0, 0, -3.7])


@pytest.mark.parametrize(
    ("ranges", "message"),
    [
        (
            {"length": (2.0, 1.0)},
            "contexts.length: expected intervals .low, high. with low <= high",
        ),
        ({"length": (1.0, float("inf"))}, "contexts.length: expected finite numbers"),
        ({"length": ()}, "contexts.length: expected at least one interval"),
        ({"length": ((0.0, 2.0), (1.0, 3.0))}, "contexts.length: .* without overlap"),
    ],
)
def test_bad_ranges_are_refused(ranges: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_ranges(ranges)


def test_settings_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValidationError, match="context_visible: expected contexts too"):
        Environment(id="CartPole-v1", context_visible=True)
    with pytest.raises(ValidationError, match="contexts: expected none with batching envpool"):
        Environment(id="CartPole-v1", contexts={"length": 1}, batching="envpool")
    environment = Environment(id="Taxi-v4", contexts={"length": 1}, context_visible=True)
    with pytest.raises(ConfigurationError, match="'Taxi-v4' has no parameter 'length'"):
        environment.make()
    experiment = {
        "name": "x",
        "environment": {"id": "CartPole-v1", "contexts": CARTPOLE, "context_visible": True},
        "evaluation": {"environment": {"id": "CartPole-v1"}},
    }
    with pytest.raises(ConfigurationError, match=r"evaluation.environment: expected observations"):
        from_mapping(experiment).check()
    experiment["evaluation"] = {
        "environment": {**experiment["environment"], "contexts": {**CARTPOLE, "length": 1.0}}  # type: ignore[dict-item]
    }
    from_mapping(experiment).check()
