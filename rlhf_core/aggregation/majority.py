"""Every judgement counts the same."""

from typing import Literal

import numpy as np

from rlhf_core.aggregation import Aggregated, Aggregator
from rlhf_core.answers import Comparisons
from rlhf_core.crowd.votes import RIGHT_SHARE, report, votes
from rlhf_core.labels import Preferences
from rlhf_core.questions import Queries


class Majority(Aggregator):
    """The share of votes for the right side; "equal" is half a vote, a skip is none.

    Where the expert spoke, the expert's word is the label.
    """

    kind: Literal["majority"] = "majority"

    def aggregate(self, queries: Queries, annotations: Comparisons) -> Aggregated:
        """Targets are vote shares, weights are 1; competence is agreement by Laplace's rule."""
        given = votes(queries, annotations)
        target = given.shares @ RIGHT_SHARE
        answered = given.answered
        preferences = Preferences(
            pair=queries.items[answered],
            target=target[answered],
            weight=np.ones(int(answered.sum())),
        )
        return Aggregated(preferences, report(given, target))
