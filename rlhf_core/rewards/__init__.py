"""Rewards: learned from evidence, or the control that the environment pays.

`RewardFunction` is all that an optimiser needs to know. `EnvironmentReward` is the one exception:
the marker of the control that trains on what the environment pays.
"""

from collections.abc import Callable
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float, Shaped

from rlhf_core.types import Metrics, Transitions, Value

Density = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""Log-probability (B,) of actions given observations."""


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


@runtime_checkable
class ObservingReward(RewardFunction, Protocol):
    """A reward that learns at every rollout of the policy that it is paid to."""

    @property
    def state(self) -> Value:
        """All that it has learned."""
        ...

    def resumed(self, state: Value) -> "ObservingReward":
        """The same reward with what it had learned before."""
        ...

    def observe(
        self, transitions: Transitions, density: Density | None, rng: np.random.Generator
    ) -> "ObservingReward":
        """The reward after a rollout, which is then paid by it.

        Args:
            transitions: the steps of the rollout.
            density: log-probability of actions under the policy that made it, if it has any.
            rng: the source of randomness.
        """
        ...

    def policy_rewards(self, transitions: Transitions, density: Density | None) -> np.ndarray:
        """Rewards (B,) of the policy's own steps, of which it may know how likely they were."""
        ...

    def metrics(self, transitions: Transitions) -> Metrics:
        """How it does on these steps of the policy."""
        ...


class EnvironmentReward:
    """Marks the control that optimises the true reward; an optimiser then relabels nothing."""


Reward = RewardFunction | EnvironmentReward
