"""Learning from preferences."""

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
from pydantic import model_validator

from rlhf_core.feedback_forms import AnyForm, FeedbackForm
from rlhf_core.feedback_forms.comparison import Comparison
from rlhf_core.reward_learning.strategy import Information, Labels, RewardLearning


class Preference(RewardLearning):
    """Learn a reward from clips that are put in order (https://arxiv.org/abs/1706.03741)."""

    kind: Literal["preference"] = "preference"
    form: AnyForm = Comparison()
    """How clips are put in order: comparison, ranking, best_of, click or correction."""

    @model_validator(mode="after")
    def _puts_clips_in_order(self) -> "Preference":
        if not self.form.ordinal:
            raise ValueError(
                f"form: expected one that puts clips in order, actual: {self.form.kind}; "
                "rating and signal belong to kind direct_reward, demonstration to inverse_rl"
            )
        return self

    def forms(self) -> Sequence[FeedbackForm]:
        """The chosen form."""
        return (self.form,)

    def split(
        self, labels: int, asked: Mapping[str, int], information: Information
    ) -> Mapping[str, int]:
        """All labels are of that form."""
        return {self.form.kind: labels}

    def fitted_labels(self, labels: Labels, rng: np.random.Generator) -> Labels:
        """The annotators' labels."""
        return labels
