"""Which pairs of segments to ask about."""

from abc import abstractmethod
from typing import Annotated, ClassVar

import numpy as np
from jaxtyping import Float

from rlhf_core.plugin import Family, Plugin
from rlhf_core.types import Queries, Segments


class QuerySelector(Plugin):
    """Chooses pairs out of candidates that were drawn at random from the policy's rollouts."""

    family: ClassVar[str] = "rlhf_core.queries"

    @abstractmethod
    def candidates(self, count: int) -> int:
        """How many candidate pairs to draw when `count` are wanted, at least `count`."""

    @abstractmethod
    def select(
        self,
        candidates: Queries,
        segments: Segments,
        returns: Float[np.ndarray, "M S"],
        count: int,
        rng: np.random.Generator,
    ) -> Queries:
        """Choose `count` of the candidate pairs.

        Args:
            candidates: pairs of positions in `segments`.
            segments: the segments.
            returns: raw return of each segment under each member of the reward ensemble.
            count: N, at most `len(candidates)`.
            rng: the source of randomness.
        """


QUERIES = Family(QuerySelector, default="disagreement")
AnyQuerySelector = Annotated[QuerySelector, QUERIES]
