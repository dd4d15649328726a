"""Questions that the ensemble quarrels about."""

from typing import ClassVar, Literal

import numpy as np
from jaxtyping import Float
from pydantic import NonNegativeFloat, PositiveInt

from rlhf_core.acquisition.diversity import telling
from rlhf_core.acquisition.scores import disagreement
from rlhf_core.queries import QuerySelector
from rlhf_core.questions import Queries
from rlhf_core.types import Segments


class Disagreement(QuerySelector):
    """Questions on which the ensemble's predicted answers vary most.

        score = sum over k of Var over m of P_m(k is chosen),   P_m = softmax(R_m)

    Christiano et al. 2017 (https://arxiv.org/abs/1706.03741), section 2.2.4, there for pairs. Of a
    rating: the variance of the clip's standardised return.
    """

    reads_reward: ClassVar[bool] = True
    kind: Literal["disagreement"] = "disagreement"
    oversample: PositiveInt = 10
    """Candidates drawn for each question that is asked."""
    spread: NonNegativeFloat = 0.0
    """Least distance between two questions of one batch, in standard deviations of the candidates'
    features: above 0 a batch holds no near-duplicates."""

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
        """The `count` candidates of highest score, in random order; clips to rate, by chance."""
        scores = disagreement(returns, candidates.items)
        return telling(scores, segments, candidates, count, self.spread, rng)
