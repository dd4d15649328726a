"""The environments with a batched form, and their registration with Gymnasium."""

import inspect
from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple

import gymnasium

from rlhf_core.environments.batched import dialogue, point_maze, point_robot, recommender
from rlhf_core.environments.batched.acrobot import Acrobot
from rlhf_core.environments.batched.cartpole import CartPole
from rlhf_core.environments.batched.dialogue import Dialogue
from rlhf_core.environments.batched.mountain_car import MountainCar, MountainCarContinuous
from rlhf_core.environments.batched.pendulum import Pendulum
from rlhf_core.environments.batched.point_maze import PointMaze
from rlhf_core.environments.batched.point_robot import PointRobot
from rlhf_core.environments.batched.recommender import Recommender
from rlhf_core.environments.batched.vector import BatchedEnv, Dynamics
from rlhf_core.environments.fixed_horizon import EvolvingHorizon, FixedHorizon, HorizonForm
from rlhf_core.environments.sequences import random_walks, sentiment
from rlhf_core.environments.sequences.env import SequenceDynamics
from rlhf_core.environments.sequences.random_walks import RandomWalks
from rlhf_core.environments.sequences.sentiment import Sentiment
from rlhf_core.environments.sequences.task import TextTask

DYNAMICS: dict[str, type[Dynamics]] = {
    "CartPole-v1": CartPole,
    "Pendulum-v1": Pendulum,
    "Acrobot-v1": Acrobot,
    "MountainCar-v0": MountainCar,
    "MountainCarContinuous-v0": MountainCarContinuous,
}
"""Gymnasium's own ids."""
NAMESPACE = "rlhf"
PACKAGE = "rlhf_core.environments."
OURS = ("gymnasium.envs.", f"{PACKAGE}batched.", f"{PACKAGE}sequences.")
"""Modules whose environments have a batched form."""


class Own(NamedTuple):
    """An environment of our own."""

    kind: type[Dynamics] | type[TextTask]
    """Its dynamics, or the task whose texts are its episodes."""
    entry_point: str
    """The single environment, in `PACKAGE`."""
    longest: int
    """Steps of an episode."""
    options: Mapping[str, Any] = {}
    """Of the constructor."""


OWN: dict[str, Own] = {
    f"{NAMESPACE}/{name}-v0": own
    for name, own in {
        "PointMazeLeft": Own(
            PointMaze, "batched.point_maze:PointMazeEnv", point_maze.HORIZON, {"opening": "left"}
        ),
        "PointMazeRight": Own(
            PointMaze, "batched.point_maze:PointMazeEnv", point_maze.HORIZON, {"opening": "right"}
        ),
        "PointRobot": Own(PointRobot, "batched.point_robot:PointRobotEnv", point_robot.HORIZON),
        "Recommender": Own(Recommender, "batched.recommender:RecommenderEnv", recommender.VISITS),
        "Dialogue": Own(Dialogue, "batched.dialogue:DialogueEnv", dialogue.TURNS),
        "RandomWalks": Own(
            RandomWalks, "sequences.random_walks:RandomWalksEnv", random_walks.LONGEST - 1
        ),
        "Sentiment": Own(
            Sentiment,
            "sequences.sentiment:SentimentEnv",
            sentiment.LONGEST - sentiment.PROMPT_WORDS,
        ),
    }.items()
}
"""Environments of our own by their ids."""


def dynamics_of(id: str, options: Mapping[str, Any]) -> Dynamics | None:
    """Return the batched form of an environment; None where none takes these options."""
    spec = gymnasium.registry.get(id)
    kind = OWN[id].kind if id in OWN else DYNAMICS.get(id)
    if kind is None or spec is None:
        return None
    # Another environment may be registered under a known id.
    own = isinstance(spec.entry_point, str) and spec.entry_point.startswith(OURS)
    if not own or not set(options) <= set(inspect.signature(kind).parameters):
        return None
    return _made(kind, {**spec.kwargs, **options})


def _made(kind: type[Dynamics] | type[TextTask], options: Mapping[str, Any]) -> Dynamics:
    made = kind(**options)
    return SequenceDynamics(made) if isinstance(made, TextTask) else made


def make_batch(
    id: str,
    num_envs: int,
    max_episode_steps: int,
    fixed_horizon: int | None = None,
    horizon_form: HorizonForm = "absorbing",
    **options: Any,
) -> BatchedEnv:
    """The vector entry point of Gymnasium's ids in the namespace."""
    # The time limit that `gymnasium.make` puts around the single environment.
    horizon = None if fixed_horizon is None else min(fixed_horizon, max_episode_steps)
    return BatchedEnv(DYNAMICS[id](**options), num_envs, max_episode_steps, horizon, horizon_form)


def make_own(own: Own, num_envs: int, max_episode_steps: int, **options: Any) -> BatchedEnv:
    """The vector entry point of an environment of our own."""
    return BatchedEnv(_made(own.kind, options), num_envs, max_episode_steps)


def make_single(
    id: str,
    fixed_horizon: int | None = None,
    horizon_form: HorizonForm = "absorbing",
    **options: Any,
) -> gymnasium.Env[Any, Any]:
    """The entry point of Gymnasium's ids in the namespace: its environment, wrapped."""
    if fixed_horizon is None:
        return gymnasium.make(id, **options).unwrapped
    env = gymnasium.make(id, max_episode_steps=fixed_horizon + 1, **options)
    if horizon_form == "evolving":
        return EvolvingHorizon(env, fixed_horizon)
    return FixedHorizon(env, fixed_horizon, horizon_form == "played")


def register() -> None:
    """Register every batched environment with Gymnasium, under `rlhf/` and its own id."""
    for id, own in OWN.items():
        if id not in gymnasium.registry:
            gymnasium.register(
                id,
                entry_point=f"{PACKAGE}{own.entry_point}",
                vector_entry_point=partial(make_own, own),
                max_episode_steps=own.longest,
                kwargs=dict(own.options),
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
