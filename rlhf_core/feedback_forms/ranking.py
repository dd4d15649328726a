"""Put a group of clips in order."""

from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
from pydantic import Field

from rlhf_core.answers import Rankings
from rlhf_core.crowd.weights import competence_weights
from rlhf_core.feedback_forms import FeedbackForm, Respondent, Simulated
from rlhf_core.judgements import Judgements
from rlhf_core.labels import LabelSet, RankingLabels, Workers
from rlhf_core.questions import Queries, Request
from rlhf_core.rewards.model import Likelihoods
from rlhf_core.types import Segments

if TYPE_CHECKING:
    from rlhf_core.rewards.terms import Term


class Ranking(FeedbackForm):
    """Put `group_size` clips in order. A ranking of K counts as K - 1 labels, its named places.

    The likelihood is that of Plackett and Luce (Plackett 1975, doi:10.2307/2346567).
    """

    ordinal: ClassVar[bool] = True
    kind: Literal["ranking"] = "ranking"
    group_size: int = Field(4, ge=2, le=20)
    """K, clips that are ranked together."""

    def size(self) -> int:
        """Return K, the clips in a group."""
        return self.group_size

    def worth(self) -> int:
        """The places that are named; the last one follows from the others."""
        return self.group_size - 1

    def simulate(
        self,
        queries: Queries,
        request: Request,
        respondent: Respondent,
        first_brought: int,
        rng: np.random.Generator,
    ) -> Simulated:
        """Ask the annotator to put every group in order."""
        return Simulated(*respondent.rank(queries.items, queries.worth))

    def label(
        self, judgements: Judgements, preferences: LabelSet | None, workers: Workers | None
    ) -> LabelSet:
        """Rankings, each weighed by how far its worker is above chance."""
        assert isinstance(judgements, Rankings)
        return RankingLabels(judgements, competence_weights(judgements.worker, workers))

    def term(
        self, labels: LabelSet, segments: Segments, likelihoods: Likelihoods, smoothing: float
    ) -> "Term":
        """Return the Plackett-Luce likelihood of the order."""
        from rlhf_core.rewards.terms import ranking_term

        assert isinstance(labels, RankingLabels)
        return ranking_term(labels, likelihoods.ties)
