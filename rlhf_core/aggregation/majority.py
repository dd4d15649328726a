"""Majority vote: every judgement has the same weight."""

from typing import Literal

import numpy as np

from rlhf_core.aggregation import Aggregated, Aggregator
from rlhf_core.answers import Comparisons
from rlhf_core.crowd.votes import RIGHT_SHARE, collect_votes, report
from rlhf_core.labels import Preferences
from rlhf_core.questions import Queries


class Majority(Aggregator):
    """The share of votes for the right side; "equal" is half a vote, a skip is no vote.

    Where the expert answered, the label is the expert's answer.
    """

    kind: Literal["majority"] = "majority"

    def aggregate(
        self, queries: Queries, annotations: Comparisons, earlier: Preferences | None = None
    ) -> Aggregated:
        """Compute vote shares as targets; weights are 1, competence is smoothed agreement."""
        votes = collect_votes(queries, annotations)
        target = votes.shares @ RIGHT_SHARE
        answered = votes.answered
        preferences = Preferences(
            pair=queries.items[answered],
            target=target[answered],
            weight=np.ones(int(answered.sum())),
        )
        return Aggregated(preferences, report(votes, target))
