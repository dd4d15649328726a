"""Every judgement counts the same."""

from typing import Literal

import numpy as np

from rlhf_core.aggregation import Aggregator
from rlhf_core.evidence import Annotations, Choice, Preferences, Queries

VOTE = np.array([0.0, 1.0, 0.5, 0.0])
"""A choice as a vote for the right side; a skip is left out by its weight."""


class Majority(Aggregator):
    """The share of votes for the right side; "equal" is half a vote, a skip is none."""

    kind: Literal["majority"] = "majority"

    def aggregate(self, queries: Queries, annotations: Annotations) -> Preferences:
        """Targets are vote shares, weights are 1."""
        valid = annotations.choice != Choice.SKIP
        asked = annotations.query[valid]
        votes = np.bincount(asked, minlength=len(queries))
        right = np.bincount(asked, VOTE[annotations.choice[valid]], minlength=len(queries))
        answered = votes > 0
        return Preferences(
            pair=queries.items[answered],
            target=right[answered] / votes[answered],
            weight=np.ones(int(answered.sum())),
        )
