"""Clipped observations, for states whose numbers grow without limit."""

from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.wrappers import TransformObservation

from rlhf_core.errors import ConfigurationError, UnsupportedSpaceError


def bounded(env: gymnasium.Env[Any, Any], bound: float) -> gymnasium.Env[Any, Any]:
    """Clip every number of the observation to [-bound, bound]; the state does not change.

    Args:
        env: its observations are a Box of floats.
        bound: in the environment's own unit of each number.

    Raises:
        UnsupportedSpaceError: the observations are no Box of floats.
        ConfigurationError: the observation space lies within the bound.
    """
    box = env.observation_space
    if not isinstance(box, spaces.Box) or not np.issubdtype(box.dtype, np.floating):
        raise UnsupportedSpaceError(
            f"environment.observation_bound: expected Box observations of floats, actual: {box}"
        )
    largest = float(np.maximum(np.abs(box.low), np.abs(box.high)).max())
    if largest <= bound:
        raise ConfigurationError(
            f"environment.observation_bound: expected less than {largest:g}, the largest number "
            f"of the observation space, actual: {bound:g}; it would do nothing"
        )

    def clip(observation: np.ndarray) -> np.ndarray:
        return np.clip(observation, -bound, bound).astype(box.dtype, copy=False)

    narrow = spaces.Box(clip(box.low), clip(box.high), dtype=box.dtype.type)
    return TransformObservation(env, clip, narrow)
