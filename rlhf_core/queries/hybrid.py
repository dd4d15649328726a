"""Questions that tell much and are unlike each other."""

from typing import ClassVar, Literal

import numpy as np
from jaxtyping import Float
from pydantic import PositiveInt

from rlhf_core.acquisition.diversity import k_centre, question_features
from rlhf_core.acquisition.scores import disagreement, information_gain, uncertainty
from rlhf_core.queries import QuerySelector
from rlhf_core.questions import Queries
from rlhf_core.types import Segments

MEASURES = {
    "disagreement": disagreement,
    "entropy": uncertainty,
    "information_gain": information_gain,
}


class Hybrid(QuerySelector):
    """A shortlist of the most telling candidates, and of it a batch spread by greedy k-centre."""

    reads_reward: ClassVar[bool] = True
    kind: Literal["hybrid"] = "hybrid"
    measure: Literal["disagreement", "entropy", "information_gain"] = "information_gain"
    """What makes a question telling; as the selectors of these names have it."""
    oversample: PositiveInt = 10
    """Candidates drawn for each question that is asked."""
    shortlist: PositiveInt = 3
    """Candidates on the shortlist for each question that is asked."""

    def candidates(self, count: int) -> int:
        """`oversample` times as many as are wanted."""
        return count * self.oversample

    def select(
        self,
        candidates: Queries,
        segments: Segments,
        returns: Float[np.ndarray, "M S"],
        count: int,
        rng: np.random.Generator,
    ) -> Queries:
        """Begin with the most telling one; then those farthest apart on the shortlist."""
        scores = MEASURES[self.measure](returns, candidates.items)
        best = np.argsort(-scores, kind="stable")[: count * self.shortlist]
        features = question_features(segments, candidates)[best]
        chosen = best[k_centre(features, count, 0)]
        return Queries(candidates.items[rng.permutation(chosen)])
