"""Questions that cover the observations and actions of the policy."""

from typing import Literal

import numpy as np
from jaxtyping import Float
from pydantic import PositiveInt

from rlhf_core.acquisition.diversity import k_centre, question_features
from rlhf_core.queries import QuerySelector
from rlhf_core.questions import Queries
from rlhf_core.types import Segments


class Coverage(QuerySelector):
    """Questions that differ most from each other, by greedy k-centre over features of their clips.

    It does not read the reward, so it can be used before the first fit
    (https://arxiv.org/abs/1708.00489).
    """

    kind: Literal["coverage"] = "coverage"
    oversample: PositiveInt = 10
    """Candidates drawn for each question that is asked."""

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
        """Choose the first at random, then each time the one farthest from all before it."""
        features = question_features(segments, candidates)
        chosen = k_centre(features, count, int(rng.integers(len(candidates))))
        return Queries(candidates.items[chosen])
