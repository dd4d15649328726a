"""Hyper-parameters and state of the discriminator, without torch."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil
from typing import Literal

import numpy as np
from jaxtyping import Float
from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt

from rlhf_core.plugin import Config
from rlhf_core.rewards.model import Input
from rlhf_core.types import Value

PASSES = 16
"""Times that the discriminator goes through a rollout, where nothing else is asked for. With half
as many GAIL is not done within 30 rollouts on Pendulum."""
MOST_UPDATES = 128
"""A generation of an evolution strategy is a rollout of a hundred thousand steps."""

Method = Literal["gail", "airl", "maximum_entropy"]


class Discriminator(Config):
    """Hyper-parameters of the discriminator between demonstrations and rollouts."""

    hidden: tuple[PositiveInt, ...] = (32, 32)
    """Widths of the hidden layers; none makes it linear in the features."""
    inputs: tuple[Input, ...] = Field(("observation", "action"), min_length=1)
    """Its inputs; [observation] or [next_observation] make a state-only reward."""
    learning_rate: PositiveFloat = 3e-3
    """Adam's step size."""
    updates: PositiveInt | None = None
    """Gradient steps at each rollout; null: 16 passes over the rollout, and 128 at the most."""
    batch_size: PositiveInt = 512
    """Steps of demonstrations, and as many of rollouts, in a gradient step."""
    gradient_penalty: NonNegativeFloat = 0.0
    """Weight of the squared gradient by the inputs, between demonstrations and rollouts:
    a smooth reward is easier to optimise."""
    output_penalty: NonNegativeFloat = 0.05
    """Weight of the mean square of its output, which keeps `maximum_entropy` finite."""
    discount: float = Field(0.99, ge=0, le=1)
    """Of the shaping term of `airl`."""
    entropy_weight: NonNegativeFloat = 0.0
    """Weight of -log pi(a|s) beside f in the policy's reward of `airl`: 0 leaves the entropy to the
    optimiser, 1 makes the reward log D - log(1 - D)."""

    def updates_of(self, steps: int) -> int:
        """Return the number of gradient steps at a rollout of so many environment steps."""
        return self.updates or min(ceil(PASSES * steps / self.batch_size), MOST_UPDATES)


@dataclass(frozen=True, eq=False)
class DiscriminatorState(Value):
    """Weights, Adam's moments, moments of the inputs, and the scale of the reward."""

    parameters: Mapping[str, np.ndarray]
    """`reward/weight_i` (in, out), `reward/bias_i` (out,), and for airl `shaping/...` likewise."""
    moments: Mapping[str, np.ndarray]
    """`first/NAME` and `second/NAME` of each parameter."""
    updates: int
    """Steps of Adam so far."""
    input_mean: Float[np.ndarray, " features"]
    input_square: Float[np.ndarray, " features"]
    input_count: float
    state_mean: Float[np.ndarray, " states"]
    state_square: Float[np.ndarray, " states"]
    scale: float = 1.0
    """Running standard deviation of the reward over rollouts."""
    shift: float = 0.0
    """Running mean of the reward over rollouts, subtracted from it; 0 where episodes terminate."""
    terminates: bool = False
    """Whether any step of a demonstration or of a rollout was terminal so far."""
