"""Pairs at random."""

from typing import Literal

import numpy as np
from jaxtyping import Float

from rlhf_core.queries import QuerySelector
from rlhf_core.questions import Queries
from rlhf_core.types import Segments


class Uniform(QuerySelector):
    """Pairs at random: the baseline that every other selector has to beat."""

    kind: Literal["uniform"] = "uniform"

    def candidates(self, count: int) -> int:
        """As many as are wanted."""
        return count

    def select(
        self,
        candidates: Queries,
        segments: Segments,
        returns: Float[np.ndarray, "M S"],
        count: int,
        rng: np.random.Generator,
    ) -> Queries:
        """A random subset."""
        chosen = rng.choice(len(candidates), size=count, replace=False)
        return Queries(candidates.items[chosen])
