"""Learning from ratings: people give the reward directly."""

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
from pydantic import model_validator

from rlhf_core.feedback_forms import AnyForm, FeedbackForm
from rlhf_core.feedback_forms.rating import Rating
from rlhf_core.reward_learning.strategy import Information, Labels, RewardLearning


class DirectReward(RewardLearning):
    """Learn a reward from ratings of clips, or of moments in them (TAMER).

    `likelihoods.ratings` says whether a rating is a number with Gaussian noise or an ordered level;
    `likelihoods.delay_steps` spreads a moment's rating over the steps that it is a reaction to
    (Knox and Stone 2009, https://doi.org/10.1145/1597735.1597738).
    """

    kind: Literal["direct_reward"] = "direct_reward"
    rated: AnyForm = Rating()
    """What is rated: `rating`, clips as wholes; `signal`, what happened just before a moment."""

    @model_validator(mode="after")
    def _gives_numbers(self) -> "DirectReward":
        if self.rated.ordinal or not self.rated.size():
            raise ValueError(
                f"rated: expected a form that gives clips a number (rating, signal), actual: "
                f"{self.rated.kind}; order is learned from by feedback kind preference"
            )
        return self

    def forms(self) -> Sequence[FeedbackForm]:
        """The chosen form."""
        return (self.rated,)

    def split(
        self, labels: int, asked: Mapping[str, int], information: Information
    ) -> Mapping[str, int]:
        """All labels are of that form."""
        return {self.rated.kind: labels}

    def fitted_labels(self, labels: Labels, rng: np.random.Generator) -> Labels:
        """The annotators' labels."""
        return labels
