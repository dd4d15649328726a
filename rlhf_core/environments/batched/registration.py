"""The environments with a batched form, and their registration with Gymnasium."""

import inspect
from collections.abc import Mapping
from typing import Any

import gymnasium

from rlhf_core.environments.batched.acrobot import Acrobot
from rlhf_core.environments.batched.cartpole import CartPole
from rlhf_core.environments.batched.mountain_car import MountainCar, MountainCarContinuous
from rlhf_core.environments.batched.pendulum import Pendulum
from rlhf_core.environments.batched.point_maze import HORIZON, PointMaze
from rlhf_core.environments.batched.vector import BatchedEnv, Dynamics
from rlhf_core.environments.fixed_horizon import EvolvingHorizon, FixedHorizon, HorizonForm

DYNAMICS: dict[str, type[Dynamics]] = {
    "CartPole-v1": CartPole,
    "Pendulum-v1": Pendulum,
    "Acrobot-v1": Acrobot,
    "MountainCar-v0": MountainCar,
    "MountainCarContinuous-v0": MountainCarContinuous,
}
"""Gymnasium's own ids."""
NAMESPACE = "rlhf"
MAZES = {f"{NAMESPACE}/PointMaze{side.title()}-v0": side for side in ("left", "right")}
"""Ids of our own, and on which side the barrier is open."""
OURS = ("gymnasium.envs.", "rlhf_core.environments.batched.")
"""Modules whose environments have a batched form."""


def dynamics_of(id: str, options: Mapping[str, Any]) -> Dynamics | None:
    """Return the batched form of an environment; None where none takes these options."""
    spec = gymnasium.registry.get(id)
    kind = PointMaze if id in MAZES else DYNAMICS.get(id)
    if kind is None or spec is None:
        return None
    # Another environment may be registered under a known id.
    own = isinstance(spec.entry_point, str) and spec.entry_point.startswith(OURS)
    if not own or not set(options) <= set(inspect.signature(kind).parameters):
        return None
    return kind(**{**spec.kwargs, **options})


def make_batch(
    id: str,
    num_envs: int,
    max_episode_steps: int,
    fixed_horizon: int | None = None,
    horizon_form: HorizonForm = "absorbing",
    **options: Any,
) -> BatchedEnv:
    """The vector entry point of the ids in the namespace."""
    # The time limit that `gymnasium.make` puts around the single environment.
    horizon = None if fixed_horizon is None else min(fixed_horizon, max_episode_steps)
    return BatchedEnv(DYNAMICS[id](**options), num_envs, max_episode_steps, horizon, horizon_form)


def make_mazes(num_envs: int, max_episode_steps: int, **options: Any) -> BatchedEnv:
    """The vector entry point of the mazes."""
    return BatchedEnv(PointMaze(**options), num_envs, max_episode_steps)


def make_single(
    id: str,
    fixed_horizon: int | None = None,
    horizon_form: HorizonForm = "absorbing",
    **options: Any,
) -> gymnasium.Env[Any, Any]:
    """The entry point of the ids in the namespace: Gymnasium's environment, wrapped."""
    if fixed_horizon is None:
        return gymnasium.make(id, **options).unwrapped
    env = gymnasium.make(id, max_episode_steps=fixed_horizon + 1, **options)
    if horizon_form == "evolving":
        return EvolvingHorizon(env, fixed_horizon)
    return FixedHorizon(env, fixed_horizon)


def register() -> None:
    """Register every batched environment with Gymnasium, under `rlhf/` and its own id."""
    for id, opening in MAZES.items():
        if id not in gymnasium.registry:
            gymnasium.register(
                id,
                entry_point="rlhf_core.environments.batched.point_maze:PointMazeEnv",
                vector_entry_point=f"{__name__}:make_mazes",
                max_episode_steps=HORIZON,
                kwargs={"opening": opening},
            )
    for id in DYNAMICS:
        name = f"{NAMESPACE}/{id}"
        if name not in gymnasium.registry:
            gymnasium.register(
                name,
                entry_point=f"{__name__}:make_single",
                vector_entry_point=f"{__name__}:make_batch",
                max_episode_steps=gymnasium.spec(id).max_episode_steps,
                kwargs={"id": id},
            )
