"""The reward ensemble as data: its hyper-parameters, its weights, its scales. No torch here."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Annotated, Literal

import numpy as np
from jaxtyping import Float
from pydantic import (
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    model_validator,
)

from rlhf_core.environments.spaces import Spaces, is_image
from rlhf_core.plugin import Config
from rlhf_core.rewards.saved import SavedReward
from rlhf_core.sizes import input_features, parameters
from rlhf_core.types import Value

Input = Literal["observation", "action", "next_observation", "terminated"]
Family = Literal["linear", "squares", "network", "auto", "bank"]


class RewardModel(Config):
    """Shape of the reward ensemble and how it is fitted."""

    family: Family = "network"
    """Class of functions that the reward is taken from: `linear` in its inputs, `squares` linear in
    them and their squares, `network`; `auto` fits all three in every round and takes the one that
    predicts held-out answers best; `bank` is made of rewards of earlier tasks."""
    bank: str | None = Field(None, max_length=4096)
    """Folder of the rewards that `family: bank` is made of, as `rlhf rewards` writes them. Of the
    other fields such a reward uses `pessimism`, `centred` and `label_smoothing` alone."""
    hidden: tuple[PositiveInt, ...] = (64, 64)
    """Widths of the hidden layers."""
    channels: tuple[PositiveInt, ...] = (16, 32)
    """Channels of the convolutions (3 x 3, stride 2) that read image observations; with none, the
    pixels go straight to the hidden layers."""
    members: PositiveInt = 3
    """M, networks in the ensemble; each holds out another part of the labels."""
    inputs: tuple[Input, ...] = Field(("observation", "action"), min_length=1)
    """What the reward may look at; [observation] or [next_observation] is a state-only reward."""
    input_deviation: float = Field(1.0, ge=1)
    """Standard deviation that inputs are brought to, pixels that convolutions read excepted. A
    network is smooth over distances below 1: a larger value tells states apart that are near each
    other, compared with all observations."""
    centred: bool = True
    """Whether the reward has mean 0 over the policy's steps. With false its zero is the learned
    one: where episodes end by themselves, as texts do, the sign of the reward says whether they
    should be long or short, and comparisons of whole episodes teach it."""
    pessimism: NonNegativeFloat = 0.0
    """Standard deviations of the ensemble that are taken off the reward: policies then stay where
    the members agree."""
    learning_rate: PositiveFloat = 1e-3
    """Adam's step size."""
    weight_decay: (
        NonNegativeFloat | Annotated[tuple[NonNegativeFloat, ...], Field(min_length=1)]
    ) = 1e-4
    """Decoupled weight decay; of several values each member keeps what its held-out labels like
    best."""
    epochs: PositiveInt = 20
    """Passes over the labels in one fit, at the most."""
    batch_size: PositiveInt = 16
    """Labels a gradient step."""
    patience: PositiveInt = 10
    """Epochs without a better held-out loss after which a member stops."""
    heldout_folds: int = Field(5, ge=2)
    """Member m is never shown the labels of fold m; they stop its fit and measure accuracy."""
    label_smoothing: float = Field(0.0, ge=0, lt=1)
    """Share of each comparison's target that is replaced by 1/2."""
    temporal_crop: float = Field(1.0, gt=0, le=1)
    """Below 1: train on random sub-clips of at least this share of a clip's steps (SURF)."""
    pseudo_labels: float = Field(0.0, ge=0)
    """Unlabelled pairs for each labelled one that teach what a member is already sure of (SURF)."""
    pseudo_confidence: float = Field(0.95, gt=0.5, lt=1)
    """How sure a member must be of a pair before it is a pseudo-label."""
    robust: bool = False
    """Estimate which share of the answers is wrong, and let likely-wrong ones pull less."""

    @model_validator(mode="after")
    def _has_a_bank(self) -> "RewardModel":
        if self.family == "bank" and not self.bank:
            raise ValueError(
                "bank: expected a folder of rewards for family bank, as `rlhf rewards FOLDER "
                "RUN_ID` writes it, actual: none"
            )
        return self

    def folders(self) -> Iterator[tuple[str, str]]:
        """Yield the bank, where the reward is made of one."""
        if self.family == "bank":
            yield "bank", str(self.bank)

    def parameters(self, spaces: Spaces) -> int:
        """Parameters of one member, at the least: those that depend on an image's size left out."""
        if self.family == "bank":
            return 1
        if self.family in ("linear", "squares"):
            degree = 1 if self.family == "linear" else 2
            return 1 + degree * input_features(self.inputs, spaces)
        inputs, convolved = self.inputs, 0
        if self.channels and is_image(spaces.observation):
            inputs = tuple(name for name in inputs if "observation" not in name)
            convolved = sum(9 * fan_in * out for fan_in, out in pairwise((1, *self.channels)))
        return convolved + parameters([input_features(inputs, spaces), *self.hidden, 1])


class Likelihoods(Config):
    """How each form of judgement is thought to come about."""

    ties: Literal["half", "davidson", "drop"] = "half"
    """A tie, or a split vote, is half a vote for each side, an outcome of its own (Davidson; in
    rankings half a vote as well), or left out."""
    ratings: Literal["gaussian", "ordinal"] = "gaussian"
    """A rating is a number with noise, or an ordered level."""
    delay_steps: tuple[NonNegativeInt, NonNegativeInt] = (0, 0)
    """A rating given after step t speaks of the steps from t minus the second to t minus the
    first (TAMER's credit assignment, doi:10.1145/1597735.1597738); one of a whole clip of all."""

    @model_validator(mode="after")
    def _shorter_delay_first(self) -> "Likelihoods":
        if self.delay_steps[0] > self.delay_steps[1]:
            raise ValueError(
                f"delay_steps: expected the shorter delay first, actual: {self.delay_steps}"
            )
        return self


@dataclass(frozen=True, eq=False)
class EnsembleState(Value):
    """Weights of the ensemble and the scales around it."""

    parameters: Mapping[str, np.ndarray]
    """Of a network `conv_i` (M, out, in, 3, 3) and `conv_bias_i` (M, out), then `weight_i`
    (M, in, out) and `bias_i` (M, 1, out), layer by layer; of a polynomial `polynomial` (M, P)."""
    input_mean: Float[np.ndarray, " features"]
    input_scale: Float[np.ndarray, " features"]
    member_mean: Float[np.ndarray, " M"]
    """Mean of each member's raw reward on what the policy did when the reward was fitted."""
    member_scale: Float[np.ndarray, " M"]
    """Its standard deviation there."""
    mean: float = 0.0
    """Mean of the combined reward there."""
    scale: float = 1.0
    """Its standard deviation there."""
    heads: Mapping[str, np.ndarray] = field(default_factory=dict)
    """What the likelihoods learned beside the reward (M, ...): thresholds, scales, noise."""
    candidates: Mapping[str, np.ndarray] = field(default_factory=dict)
    """Parameters of a network that `auto` fitted and did not choose: its next fit starts there."""
    bank: tuple[SavedReward, ...] = ()
    """Earlier rewards, whose outputs are the features in place of observations and actions."""
