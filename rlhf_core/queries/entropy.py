"""Questions whose answer cannot be foreseen."""

from typing import ClassVar, Literal

import numpy as np
from jaxtyping import Float
from pydantic import NonNegativeFloat, PositiveInt

from rlhf_core.acquisition.diversity import telling
from rlhf_core.acquisition.scores import uncertainty
from rlhf_core.queries import QuerySelector
from rlhf_core.questions import Queries
from rlhf_core.types import Segments


class Entropy(QuerySelector):
    """Questions whose answer the ensemble as a whole is least sure of.

        score = H(mean over m of P_m),   P_m = softmax(R_m)

    Near ties score as high as quarrels (PEBBLE, https://arxiv.org/abs/2106.05091). Of a rating:
    the entropy of a Gaussian as wide as the members are apart.
    """

    reads_reward: ClassVar[bool] = True
    kind: Literal["entropy"] = "entropy"
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
        scores = uncertainty(returns, candidates.items)
        return telling(scores, segments, candidates, count, self.spread, rng)
