"""Null control: labels that say nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal

import numpy as np

from rlhf_core.evidence import NOBODY
from rlhf_core.reward_learning.forms import Form
from rlhf_core.reward_learning.strategy import Information, RewardLearning
from rlhf_core.rewards.model import Labels


class ShuffledLabels(RewardLearning):
    """Null control: the same questions, with the answers dealt out to the wrong clips."""

    kind: Literal["shuffled_labels"] = "shuffled_labels"

    def forms(self) -> Sequence[Form]:
        """Comparisons."""
        return (Form.COMPARISON,)

    def split(
        self, labels: int, asked: Mapping[Form, int], information: Information
    ) -> Mapping[Form, int]:
        """All labels are comparisons."""
        return {Form.COMPARISON: labels}

    def told(self, labels: Labels, rng: np.random.Generator) -> Labels:
        """Targets and ratings in random order, groups in any order; dealt anew in every fit."""
        preferences, rankings, ratings = labels.preferences, labels.rankings, labels.ratings
        keys = np.where(rankings.items == NOBODY, np.inf, rng.random(rankings.items.shape))
        return labels._replace(
            preferences=replace(
                preferences, target=preferences.target[rng.permutation(len(preferences))]
            ),
            rankings=replace(
                rankings,
                items=np.take_along_axis(rankings.items, keys.argsort(axis=1), axis=1),
                tied=None,
            ),
            ratings=replace(ratings, value=ratings.value[rng.permutation(len(ratings))]),
        )
