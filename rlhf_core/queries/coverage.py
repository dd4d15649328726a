"""Questions that cover what the policy does."""

from typing import Literal

import numpy as np
from jaxtyping import Float
from pydantic import PositiveInt

from rlhf_core.acquisition.diversity import k_centre, question_features
from rlhf_core.queries import QuerySelector
from rlhf_core.questions import Queries
from rlhf_core.types import Segments


class Coverage(QuerySelector):
    """Questions as unlike each other as can be: greedy k-centre over what the clips show.

    It asks no reward, so it is of use before there is one
    (https://arxiv.org/abs/1708.00489).
    """

    kind: Literal["coverage"] = "coverage"
    oversample: PositiveInt = 10
    """Candidates drawn for each question that is asked."""

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
        """The first at random, then each time the one farthest from all before it."""
        features = question_features(segments, candidates)
        chosen = k_centre(features, count, int(rng.integers(len(candidates))))
        return Queries(candidates.items[chosen])
