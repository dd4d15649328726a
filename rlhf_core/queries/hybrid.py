"""Questions that are informative and differ from each other."""

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
    """A shortlist of the highest scores, and a diverse batch of it by greedy k-centre."""

    reads_reward: ClassVar[bool] = True
    kind: Literal["hybrid"] = "hybrid"
    measure: Literal["disagreement", "entropy", "information_gain"] = "information_gain"
    """The score of a candidate, as in the selectors of these names."""
    oversample: PositiveInt = 10
    """Candidates drawn for each question that is asked."""
    shortlist: PositiveInt = 3
    """Candidates on the shortlist for each question that is asked."""

    def candidates(self, count: int) -> int:
        """Draw `oversample` candidates for each question."""
        return count * self.oversample

    def select(
        self,
        candidates: Queries,
        segments: Segments,
        returns: Float[np.ndarray, "M S"],
        count: int,
        rng: np.random.Generator,
    ) -> Queries:
        """Choose the highest score first, then those farthest from it on the shortlist."""
        scores = MEASURES[self.measure](returns, candidates.items)
        best = np.argsort(-scores, kind="stable")[: count * self.shortlist]
        features = question_features(segments, candidates)[best]
        chosen = best[k_centre(features, count, 0)]
        return Queries(candidates.items[rng.permutation(chosen)])
