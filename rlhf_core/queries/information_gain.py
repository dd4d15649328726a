"""Questions whose answer tells most."""

from typing import ClassVar, Literal

import numpy as np
from jaxtyping import Float
from pydantic import NonNegativeFloat, PositiveInt

from rlhf_core.acquisition.diversity import telling
from rlhf_core.acquisition.scores import information_gain
from rlhf_core.queries import QuerySelector
from rlhf_core.questions import Queries
from rlhf_core.types import Segments


class InformationGain(QuerySelector):
    """Questions whose answer tells most about which member is right.

        score = H(mean over m of P_m) - mean over m of H(P_m)

    Unlike entropy it passes over pairs that every member calls a tie (BALD, Houlsby et al. 2011,
    https://arxiv.org/abs/1112.5745; for preferences https://arxiv.org/abs/1910.04365).
    """

    reads_reward: ClassVar[bool] = True
    kind: Literal["information_gain"] = "information_gain"
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
        scores = information_gain(returns, candidates.items)
        return telling(scores, segments, candidates, count, self.spread, rng)
