"""Null control: labels that say the opposite."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal

import numpy as np

from rlhf_core.evidence import Rankings
from rlhf_core.reward_learning.forms import Form
from rlhf_core.reward_learning.labels import ordered_pairs
from rlhf_core.reward_learning.strategy import Information, RewardLearning
from rlhf_core.rewards.model import Labels


class SignFlipped(RewardLearning):
    """Null control: every answer turned round, so that the worse clip is rewarded."""

    kind: Literal["sign_flipped"] = "sign_flipped"

    def forms(self) -> Sequence[Form]:
        """Comparisons."""
        return (Form.COMPARISON,)

    def split(
        self, labels: int, asked: Mapping[Form, int], information: Information
    ) -> Mapping[Form, int]:
        """All labels are comparisons."""
        return {Form.COMPARISON: labels}

    def told(self, labels: Labels, rng: np.random.Generator) -> Labels:
        """One minus each target, minus each rating, and of each ranking every pair reversed."""
        given = labels.rankings
        row, better, worse = ordered_pairs(given)
        reversed_pairs = Rankings(
            np.stack([worse, better], axis=1),
            np.ones(len(row), dtype=np.int64),
            given.worker[row],
            given.seconds[row],
            given.cost[row],
        )
        return Labels(
            replace(labels.preferences, target=1 - labels.preferences.target),
            reversed_pairs,
            labels.ranking_weight[row],
            replace(labels.ratings, value=-labels.ratings.value),
            labels.rating_weight,
        )
