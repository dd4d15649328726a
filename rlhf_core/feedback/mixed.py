"""Learning from several kinds of judgement at once."""

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Literal

import numpy as np
from pydantic import Field, NonNegativeFloat, PositiveFloat, model_validator

from rlhf_core.feedback_forms import FORMS, AnyForm, FeedbackForm, form_of
from rlhf_core.plugin import nearest
from rlhf_core.reward_learning.strategy import Information, Labels, RewardLearning

LEAST_SHARE = 0.1
"""Of the labels that every form gets, so that its worth can still be estimated."""


class Mixed(RewardLearning):
    """Several forms of judgement in one fit, each with its own likelihood.

    The budget is split by fixed shares, or by what a label of each form is expected to tell about
    the reward (mutual information, in nats) per unit of its price.
    """

    kind: Literal["mixed"] = "mixed"
    shares: dict[str, NonNegativeFloat] = Field(
        {"comparison": 0.5, "ranking": 0.25, "rating": 0.25}, min_length=1
    )
    """Share of the labels by form; with `split_by: information` only which forms there are."""
    settings: tuple[AnyForm, ...] = ()
    """Forms whose fields differ from the defaults, such as `{kind: ranking, group_size: 6}`."""
    split_by: Literal["shares", "information"] = "shares"
    """shares: as stated; information: by expected information per price, at least a tenth each."""
    prices: dict[str, PositiveFloat] = Field(default_factory=dict)
    """Price of a label by form, 1 where none is stated; weighs information."""

    @model_validator(mode="after")
    def _shares_can_be_split(self) -> "Mixed":
        known = [kind for kind in FORMS.kinds() if form_of(kind, ()).size()]
        for field, names in (("shares", self.shares), ("prices", self.prices)):
            for name in names:
                if name not in known:
                    raise ValueError(f"{field}: unknown form '{name}'; {nearest(name, known)}")
        if not sum(self.shares.values()) > 0:
            raise ValueError("shares: expected at least one above 0, actual: all 0")
        if not isfinite(sum(self.shares.values())):
            raise ValueError(f"shares: expected a finite sum, actual: {self.shares}")
        if "ranking" in self.shares and "best_of" in self.shares:
            raise ValueError("shares: expected ranking or best_of, actual: both")
        return self

    def forms(self) -> Sequence[FeedbackForm]:
        """Those with a share."""
        return [form_of(kind, self.settings) for kind, share in self.shares.items() if share > 0]

    def split(
        self, labels: int, asked: Mapping[str, int], information: Information
    ) -> Mapping[str, int]:
        """Whole queries of each form, so that all that was asked so far comes near the shares.

        What cannot be asked in whole queries is left for the next round.
        """
        forms = self.forms()
        weight = self._weights(forms, information)
        before = np.array([asked.get(form.kind, 0) for form in forms])
        worth = np.array([form.worth() for form in forms])
        wanted = np.maximum(weight * (before.sum() + labels) - before, 0.0)
        wanted *= labels / max(wanted.sum(), 1e-9)
        counts = (wanted / worth + 1e-9).astype(int) * worth
        for index in np.argsort((counts - wanted) / worth, kind="stable"):
            short = counts[index] < wanted[index] - 1e-9
            if short and counts.sum() + worth[index] <= labels:
                counts[index] += worth[index]
        return dict(zip([form.kind for form in forms], counts.tolist(), strict=True))

    def _weights(self, forms: Sequence[FeedbackForm], information: Information) -> np.ndarray:
        """The share of each form, together 1."""
        if self.split_by == "shares":
            shares = np.array([self.shares[form.kind] for form in forms])
            return shares / shares.sum()
        worth = np.array([information(form) / self.prices.get(form.kind, 1.0) for form in forms])
        even = np.full(len(forms), 1 / len(forms))
        weight = worth / worth.sum() if worth.sum() > 0 else even
        least = min(LEAST_SHARE, 1 / len(forms))
        return least + (1 - least * len(forms)) * weight

    def fitted_labels(self, labels: Labels, rng: np.random.Generator) -> Labels:
        """The annotators' labels."""
        return labels
