"""Which segments to ask about."""

from abc import abstractmethod
from typing import Annotated, ClassVar

import numpy as np
from jaxtyping import Float

from rlhf_core.plugin import Family, Plugin
from rlhf_core.questions import Queries
from rlhf_core.types import Segments


class QuerySelector(Plugin):
    """Chooses questions out of candidates that were drawn at random from the policy's rollouts.

    A candidate is about K segments: one to be rated, a pair to be compared, a group to be ranked.
    """

    family: ClassVar[str] = "rlhf_core.queries"
    reads_reward: ClassVar[bool] = False
    """Whether `select` chooses by `returns`. Before the first fit they say nothing, and questions
    are drawn at random instead, as by Lee et al. 2021 (https://arxiv.org/abs/2106.05091)."""

    @abstractmethod
    def candidates(self, count: int) -> int:
        """How many candidates to draw when `count` are wanted, at least `count`."""

    @abstractmethod
    def select(
        self,
        candidates: Queries,
        segments: Segments,
        returns: Float[np.ndarray, "M S"],
        count: int,
        rng: np.random.Generator,
    ) -> Queries:
        """Choose `count` of the candidates.

        Args:
            candidates: positions in `segments`, (C, K).
            segments: the segments.
            returns: raw return of each segment under each member of the reward ensemble.
            count: N, at most `len(candidates)`.
            rng: the source of randomness.
        """


QUERIES = Family(QuerySelector, default="disagreement")
AnyQuerySelector = Annotated[QuerySelector, QUERIES]
