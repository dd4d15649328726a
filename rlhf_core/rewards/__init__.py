"""Rewards: learned from evidence, or the control that the environment pays.

`RewardFunction` is all that an optimiser needs to know. `EnvironmentReward` is the one exception:
the marker of the control that trains on what the environment pays.
"""

from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float, Shaped


@runtime_checkable
class RewardFunction(Protocol):
    """A reward of single transitions."""

    def __call__(
        self,
        observation: Shaped[np.ndarray, "B *obs"],
        action: Shaped[np.ndarray, "B *act"],
        next_observation: Shaped[np.ndarray, "B *obs"],
        terminated: Bool[np.ndarray, " B"],
    ) -> Float[np.ndarray, " B"]:
        """The reward of each transition, float32. Actions are those the environment received."""
        ...


class EnvironmentReward:
    """Marks the control that optimises the true reward; an optimiser then relabels nothing."""


Reward = RewardFunction | EnvironmentReward
