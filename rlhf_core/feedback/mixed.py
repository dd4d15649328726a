"""Learning from several kinds of judgement at once."""

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
from pydantic import Field, NonNegativeFloat, PositiveFloat, model_validator

from rlhf_core.reward_learning.forms import Form
from rlhf_core.reward_learning.strategy import Information, RewardLearning
from rlhf_core.rewards.model import Labels

LEAST_SHARE = 0.1
"""Of the labels that every form gets, so that its worth can still be seen."""


class Mixed(RewardLearning):
    """Comparisons, rankings and ratings in one fit, each with its own likelihood.

    The budget is split by fixed shares, or by what a label of each form is expected to tell about
    the reward (mutual information, in nats) per unit of its price.
    """

    kind: Literal["mixed"] = "mixed"
    shares: dict[Form, NonNegativeFloat] = Field(
        {Form.COMPARISON: 0.5, Form.RANKING: 0.25, Form.RATING: 0.25}, min_length=1
    )
    """Of the labels, by form; with `split_by: information` only which forms there are."""
    split_by: Literal["shares", "information"] = "shares"
    """shares: as given; information: by expected information per price, at least a tenth each."""
    prices: dict[Form, PositiveFloat] = Field(default_factory=dict)
    """Price of a label by form, 1 where not given; weighs information."""

    @model_validator(mode="after")
    def _shares_can_be_split(self) -> "Mixed":
        if not sum(self.shares.values()) > 0:
            raise ValueError("shares: expected at least one above 0, actual: all 0")
        if Form.RANKING in self.shares and Form.BEST_OF in self.shares:
            raise ValueError("shares: expected ranking or best_of, actual: both")
        return self

    def forms(self) -> Sequence[Form]:
        """Those with a share."""
        return [form for form, share in self.shares.items() if share > 0]

    def split(
        self, labels: int, asked: Mapping[Form, int], information: Information
    ) -> Mapping[Form, int]:
        """Whole questions of each form, so that all that was asked so far comes near the shares.

        What cannot be asked in whole questions is left for the next round.
        """
        forms = self.forms()
        weight = self._weights(forms, information)
        before = np.array([asked.get(form, 0) for form in forms])
        worth = np.array([form.worth(self.group_size) for form in forms])
        wanted = np.maximum(weight * (before.sum() + labels) - before, 0.0)
        wanted *= labels / max(wanted.sum(), 1e-9)
        counts = (wanted / worth + 1e-9).astype(int) * worth
        for index in np.argsort((counts - wanted) / worth, kind="stable"):
            short = counts[index] < wanted[index] - 1e-9
            if short and counts.sum() + worth[index] <= labels:
                counts[index] += worth[index]
        return dict(zip(forms, counts.tolist(), strict=True))

    def _weights(self, forms: Sequence[Form], information: Information) -> np.ndarray:
        """The share of each form, together 1."""
        if self.split_by == "shares":
            shares = np.array([self.shares[form] for form in forms])
            return shares / shares.sum()
        worth = np.array([information(form) / self.prices.get(form, 1.0) for form in forms])
        even = np.full(len(forms), 1 / len(forms))
        weight = worth / worth.sum() if worth.sum() > 0 else even
        least = min(LEAST_SHARE, 1 / len(forms))
        return least + (1 - least * len(forms)) * weight

    def told(self, labels: Labels, rng: np.random.Generator) -> Labels:
        """Exactly what the annotators said."""
        return labels
