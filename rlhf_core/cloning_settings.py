"""What behaviour cloning imitates, and when it stops; without torch."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int
from pydantic import Field, PositiveFloat, PositiveInt

from rlhf_core.demonstrations import Demonstrations
from rlhf_core.errors import ShapeError
from rlhf_core.plugin import Config
from rlhf_core.types import Transitions


class CloningSettings(Config):
    """Hyper-parameters of behaviour cloning, which stops by the likelihood of held-out episodes."""

    updates: PositiveInt = 20_000
    """Gradient steps at the most."""
    patience: PositiveInt = 4_000
    """Gradient steps without a better likelihood of the held-out steps after which it stops. The
    weights of the best likelihood are taken."""
    heldout_folds: int = Field(10, ge=2)
    """Episodes 1, 1 + folds, 1 + 2 folds, ... are held out (counted from 0), of two episodes the
    second; of a single one, its steps 1, 1 + folds, and so on."""
    batch_size: PositiveInt = 128
    """Steps of demonstrations in a gradient step."""
    learning_rate: PositiveFloat = 1e-3
    """Adam's step size."""
    smallest_std: PositiveFloat = Field(0.1, le=1.0)
    """Least standard deviation of continuous actions after cloning, as a fraction of half the range
    of each action. The most likely one tends to 0 where demonstrations never vary, and a policy
    without exploration is not improved afterwards."""


@dataclass(frozen=True)
class Cloning:
    """Demonstrations that a policy is trained to imitate, before or instead of an optimisation."""

    demonstrations: Transitions
    """Steps of whole episodes, one after another."""
    lengths: Int[np.ndarray, " E"]
    """Steps of each episode."""
    settings: CloningSettings
    """When the training stops, and how it is done."""
    only: bool
    """Whether the policy is not optimised afterwards."""

    def __post_init__(self) -> None:
        """Raise `ShapeError` unless the lengths sum to the number of steps."""
        steps = len(self.demonstrations.actions)
        if int(self.lengths.sum()) != steps:
            raise ShapeError(
                f"Cloning: expected lengths that sum to {steps}, the demonstrated steps, actual: "
                f"{int(self.lengths.sum())}"
            )

    def heldout(self) -> Bool[np.ndarray, " steps"]:
        """Return which steps only tell when to stop; an episode that is held out always is."""
        if len(self.lengths) == 1:
            return heldout_rows(int(self.lengths[0]), self.settings.heldout_folds)
        episodes = heldout_rows(len(self.lengths), self.settings.heldout_folds)
        return np.repeat(episodes, self.lengths)


def heldout_rows(count: int, folds: int) -> Bool[np.ndarray, " B"]:
    """Return a mask of `count` rows: every `folds`-th one from the second on is held out."""
    return np.arange(count) % folds == 1


def cloning_of(demonstrations: Demonstrations, settings: CloningSettings, only: bool) -> Cloning:
    """Return whole episodes as what a policy imitates.

    Args:
        demonstrations: the episodes.
        settings: when the training stops.
        only: whether the policy is not optimised afterwards.
    """
    return Cloning(demonstrations.transitions(), demonstrations.lengths, settings, only)
