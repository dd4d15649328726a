"""Pairs that the ensemble quarrels about."""

from typing import Literal

import numpy as np
from jaxtyping import Float
from pydantic import PositiveInt

from rlhf_core.queries import QuerySelector
from rlhf_core.evidence import Queries
from rlhf_core.types import Segments


class Disagreement(QuerySelector):
    """Pairs on which the ensemble's predicted preferences vary most.

        score = Var over m of sigmoid(R_m(right) - R_m(left))

    Christiano et al. 2017 (https://arxiv.org/abs/1706.03741), section 2.2.4.
    """

    kind: Literal["disagreement"] = "disagreement"
    oversample: PositiveInt = 10
    """Candidate pairs drawn for each pair that is asked."""

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
        """The `count` pairs of highest score, in random order."""
        left, right = returns[:, candidates.items[:, 0]], returns[:, candidates.items[:, 1]]
        # tanh is the logistic function without its overflow.
        preference = 0.5 + 0.5 * np.tanh((right - left) / 2)
        chosen = np.argsort(-preference.var(axis=0), kind="stable")[:count]
        return Queries(candidates.items[rng.permutation(chosen)])
