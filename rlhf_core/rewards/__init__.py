"""Protocols of rewards: learned functions of transitions, or the environment's own reward.

Optimisers maximise any `RewardFunction`. The marker `EnvironmentReward` stands for the true reward
of the environment, which controls and experts are trained on.
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
    """A reward that is a function of single transitions."""

    def __call__(
        self,
        observation: Shaped[np.ndarray, "B *obs"],
        action: Shaped[np.ndarray, "B *act"],
        next_observation: Shaped[np.ndarray, "B *obs"],
        terminated: Bool[np.ndarray, " B"],
    ) -> Float[np.ndarray, " B"]:
        """Return the reward (B,) in float32; actions are those that the environment received."""
        ...


@runtime_checkable
class ObservingReward(RewardFunction, Protocol):
    """A reward that learns from every rollout of the policy that maximises it."""

    @property
    def state(self) -> Value:
        """Everything that the reward has learned."""
        ...

    def resumed(self, state: Value) -> "ObservingReward":
        """Return the same reward with another state."""
        ...

    def observe(
        self, transitions: Transitions, density: Density | None, rng: np.random.Generator
    ) -> "ObservingReward":
        """Return the reward after learning from a rollout, which is then labelled by it.

        Args:
            transitions: the steps of the rollout.
            density: log-probability of actions under the policy of the rollout, if it has one.
            rng: the source of randomness.
        """
        ...

    def policy_rewards(self, transitions: Transitions, density: Density | None) -> np.ndarray:
        """Return the rewards (B,) of the policy's own steps; they may depend on the density."""
        ...

    def metrics(self, transitions: Transitions) -> Metrics:
        """Return diagnostics on these steps of the policy."""
        ...


class EnvironmentReward:
    """A marker of the true reward of the environment; optimisers then use the recorded rewards."""


Reward = RewardFunction | EnvironmentReward
