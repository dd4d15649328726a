"""The discriminator as data: its hyper-parameters and its weights. No torch here."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float
from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt

from rlhf_core.plugin import Config
from rlhf_core.rewards.model import Input
from rlhf_core.types import Value

Method = Literal["gail", "airl", "maximum_entropy"]


class Discriminator(Config):
    """What tells demonstrations from rollouts, and how it learns to."""

    hidden: tuple[PositiveInt, ...] = (32, 32)
    """Widths of the hidden layers; none makes it linear in the features."""
    inputs: tuple[Input, ...] = Field(("observation", "action"), min_length=1)
    """What it may look at; [observation] or [next_observation] is a state-only reward."""
    learning_rate: PositiveFloat = 1e-3
    """Adam's step size."""
    updates: PositiveInt = 8
    """Gradient steps at each rollout."""
    batch_size: PositiveInt = 512
    """Steps of demonstrations, and as many of rollouts, in a gradient step."""
    gradient_penalty: NonNegativeFloat = 0.0
    """Weight of the squared norm of the gradient by the inputs, between demonstrations and
    rollouts: smooth rewards are easier to climb."""
    output_penalty: NonNegativeFloat = 0.05
    """Weight of the mean square of what it puts out, which keeps `maximum_entropy` finite."""
    discount: float = Field(0.99, ge=0, le=1)
    """Of the shaping term of `airl`."""
    entropy_weight: NonNegativeFloat = 0.0
    """How much of -log pi(a|s) `airl` pays the policy beside f: 0 leaves the entropy to the
    optimiser, 1 pays log D - log(1 - D)."""


@dataclass(frozen=True, eq=False)
class DiscriminatorState(Value):
    """Weights, Adam's moments, and the scales around them."""

    parameters: Mapping[str, np.ndarray]
    """`reward/weight_i` (in, out), `reward/bias_i` (out,), and for airl `shaping/...` likewise."""
    moments: Mapping[str, np.ndarray]
    """`first/NAME` and `second/NAME` of each parameter."""
    updates: int
    input_mean: Float[np.ndarray, " features"]
    input_square: Float[np.ndarray, " features"]
    input_count: float
    state_mean: Float[np.ndarray, " states"]
    state_square: Float[np.ndarray, " states"]
    scale: float = 1.0
    """Of the reward over what the policy did, a running root mean square about its mean."""
