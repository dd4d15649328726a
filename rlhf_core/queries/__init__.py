"""Query selectors: which segments annotators are asked about."""

from abc import abstractmethod
from typing import Annotated, ClassVar

import numpy as np
from jaxtyping import Float, Int
from pydantic import NonNegativeFloat, PositiveInt

from rlhf_core.acquisition.diversity import select_informative
from rlhf_core.plugin import Family, Plugin
from rlhf_core.questions import Queries
from rlhf_core.types import Segments


class QuerySelector(Plugin):
    """Choose questions among candidates that were drawn at random from the policy's rollouts.

    A candidate is about K segments: one to be rated, a pair to be compared, a group to be ranked.
    """

    family: ClassVar[str] = "rlhf_core.queries"
    reads_reward: ClassVar[bool] = False
    """Whether `select` chooses by `returns`. Before the first fit they carry no information, and
    questions are drawn at random, as by Lee et al. 2021 (https://arxiv.org/abs/2106.05091)."""

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


class ScoredSelector(QuerySelector):
    """Choose the candidates of highest score, where the score is computed from the ensemble."""

    reads_reward: ClassVar[bool] = True
    oversample: PositiveInt = 10
    """Candidates drawn for each question that is asked."""
    spread: NonNegativeFloat = 0.0
    """Least distance between two questions of one batch, in standard deviations of the candidates'
    features: above 0 a batch holds no near-duplicates."""

    @abstractmethod
    def score(
        self, returns: Float[np.ndarray, "M S"], items: Int[np.ndarray, "C K"]
    ) -> Float[np.ndarray, " C"]:
        """Score the candidates by the information that their answers are expected to hold.

        Args:
            returns: raw return of each segment under each member of the reward ensemble.
            items: positions of the candidates' segments.
        """

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
        """Choose the `count` candidates of highest score, in random order.

        Candidates for a rating are drawn in proportion to their score.
        """
        scores = self.score(returns, candidates.items)
        return select_informative(scores, segments, candidates, count, self.spread, rng)


QUERIES = Family(QuerySelector, default="disagreement")
AnyQuerySelector = Annotated[QuerySelector, QUERIES]
