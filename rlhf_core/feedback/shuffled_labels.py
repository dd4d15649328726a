"""Null control: labels that are assigned to the wrong clips."""

from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal

import numpy as np

from rlhf_core.feedback_forms import AnyForm, FeedbackForm
from rlhf_core.feedback_forms.comparison import Comparison
from rlhf_core.reward_learning.strategy import Information, Labels, RewardLearning


class ShuffledLabels(RewardLearning):
    """Null control: the same questions, with the answers assigned to other clips at random."""

    null_control: ClassVar[bool] = True
    kind: Literal["shuffled_labels"] = "shuffled_labels"
    form: AnyForm = Comparison()
    """What is asked, as by the strategy that this is the control of."""

    def forms(self) -> Sequence[FeedbackForm]:
        """The chosen form."""
        return (self.form,)

    def split(
        self, labels: int, asked: Mapping[str, int], information: Information
    ) -> Mapping[str, int]:
        """All labels are of that form."""
        return {self.form.kind: labels}

    def fitted_labels(self, labels: Labels, rng: np.random.Generator) -> Labels:
        """The labels in random order, anew in every fit."""
        return {kind: made.shuffled(rng) for kind, made in sorted(labels.items())}
