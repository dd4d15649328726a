"""Dict observations of which some parts are read, or read otherwise."""

from collections.abc import Sequence
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from rlhf_core.environments.making import spaces_of
from rlhf_core.errors import ConfigurationError


def with_keys(
    env: gymnasium.Env[Any, Any], keys: Sequence[str] | None, id: str
) -> gymnasium.Env[Any, Any]:
    """Keep some parts of an environment's Dict observations.

    Args:
        env: whose observations are filtered.
        keys: of the parts; None keeps the observations as they are. A single part stands alone
            afterwards, so that an image stays an image.
        id: of the environment, for the messages.

    Raises:
        ConfigurationError: the observations are no dictionary, or lack a key.
    """
    if keys is None:
        return env
    space = spaces_of(env, id).observation
    if not isinstance(space, spaces.Dict):
        raise ConfigurationError(
            f"environment.observation_keys: expected none, as '{id}' observes no Dict, actual: "
            f"{list(keys)}"
        )
    missing = [key for key in keys if key not in space.spaces]
    if missing:
        raise ConfigurationError(
            f"environment.observation_keys: expected keys of '{id}', {list(space.spaces)}, "
            f"actual: {missing}"
        )
    if len(keys) > 1:
        return gymnasium.wrappers.FilterObservation(env, keys)
    (key,) = keys
    return gymnasium.wrappers.TransformObservation(env, lambda all: all[key], space[key])


ACHIEVED, DESIRED, GOAL = "achieved_goal", "desired_goal", "goal"


def with_relative_goal(env: gymnasium.Env[Any, Any], id: str) -> gymnasium.Env[Any, Any]:
    """Observe the desired goal minus the achieved one, as `goal`, in place of both.

    Args:
        env: whose observations are changed.
        id: of the environment, for the message.

    Raises:
        ConfigurationError: the observations lack one of the two.
    """
    space = spaces_of(env, id).observation
    if not isinstance(space, spaces.Dict) or not {ACHIEVED, DESIRED} <= {*space.spaces}:
        raise ConfigurationError(
            f"environment.relative_goal: expected observations of '{id}' with '{ACHIEVED}' and "
            f"'{DESIRED}', actual: {space}"
        )
    others = {key: part for key, part in space.items() if key not in (ACHIEVED, DESIRED)}
    goal = spaces.Box(-np.inf, np.inf, space[DESIRED].shape, np.float64)

    def relative(observation: dict[str, Any]) -> dict[str, Any]:
        rest = {key: observation[key] for key in others}
        return {**rest, GOAL: np.subtract(observation[DESIRED], observation[ACHIEVED])}

    return gymnasium.wrappers.TransformObservation(
        env, relative, spaces.Dict({**others, GOAL: goal})
    )
