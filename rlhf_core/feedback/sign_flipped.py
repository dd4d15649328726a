"""Null control: labels that state the opposite."""

from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal

import numpy as np

from rlhf_core.feedback_forms import AnyForm, FeedbackForm
from rlhf_core.feedback_forms.comparison import Comparison
from rlhf_core.reward_learning.strategy import Information, Labels, RewardLearning


class SignFlipped(RewardLearning):
    """Null control: every answer reversed, so that the worse clip is rewarded."""

    null_control: ClassVar[bool] = True
    kind: Literal["sign_flipped"] = "sign_flipped"
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
        """The labels reversed."""
        return {kind: made.reversed() for kind, made in sorted(labels.items())}
