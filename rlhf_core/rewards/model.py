"""The reward ensemble as data: its hyper-parameters, its weights, its scales. No torch here."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float
from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt

from rlhf_core.plugin import Config
from rlhf_core.types import Value

Input = Literal["observation", "action", "next_observation", "terminated"]


class RewardModel(Config):
    """Shape of the reward ensemble and how it is fitted."""

    hidden: tuple[PositiveInt, ...] = (64, 64)
    """Widths of the hidden layers."""
    members: PositiveInt = 3
    """M, networks in the ensemble; each holds out another part of the labels."""
    inputs: tuple[Input, ...] = Field(("observation", "action"), min_length=1)
    """What the reward may look at."""
    learning_rate: PositiveFloat = 1e-3
    """Adam's step size."""
    weight_decay: NonNegativeFloat = 1e-4
    """Decoupled weight decay (AdamW)."""
    epochs: PositiveInt = 20
    """Passes over the labels in one fit, at the most."""
    batch_size: PositiveInt = 16
    """Labels a gradient step."""
    patience: PositiveInt = 10
    """Epochs without a better held-out loss after which a member stops."""
    heldout_folds: int = Field(5, ge=2)
    """Member m is never shown the labels of fold m; they stop its fit and measure accuracy."""


@dataclass(frozen=True, eq=False)
class EnsembleState(Value):
    """Weights of the ensemble and the scales around it."""

    parameters: Mapping[str, np.ndarray]
    """`weight_i` (M, in, out) and `bias_i` (M, 1, out), layer by layer."""
    input_mean: Float[np.ndarray, " features"]
    input_scale: Float[np.ndarray, " features"]
    mean: float = 0.0
    """Mean of the raw reward on what the policy did when the reward was fitted."""
    scale: float = 1.0
    """Its standard deviation there."""
