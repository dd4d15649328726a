"""Which of two clips is better?"""

from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np

from rlhf_core.feedback_forms import FeedbackForm, Respondent, Simulated
from rlhf_core.judgements import Judgements
from rlhf_core.labels import LabelSet, Preferences, Workers
from rlhf_core.questions import Queries, Request
from rlhf_core.rewards.model import Likelihoods
from rlhf_core.types import Segments

if TYPE_CHECKING:
    from rlhf_core.rewards.terms import Term


class Comparison(FeedbackForm):
    """Which of two clips is better? Left, right, equal, or skip.

    P(right preferred) = sigmoid(R(right) - R(left)), by Bradley and Terry (Christiano et al. 2017,
    https://arxiv.org/abs/1706.03741). Several judgements of one pair become one label by
    `feedback.aggregation`.
    """

    ordinal: ClassVar[bool] = True
    kind: Literal["comparison"] = "comparison"

    def size(self) -> int:
        """Return 2, the clips in a pair."""
        return 2

    def worth(self) -> int:
        """Return 1: a pair counts as one label."""
        return 1

    def simulate(
        self,
        queries: Queries,
        request: Request,
        respondent: Respondent,
        first_brought: int,
        rng: np.random.Generator,
    ) -> Simulated:
        """Ask the annotator which clip of every pair is better."""
        return Simulated(*respondent.compare(queries.items))

    def label(
        self, judgements: Judgements, preferences: LabelSet | None, workers: Workers | None
    ) -> LabelSet:
        """Return the probabilities that the aggregator made of all judgements."""
        assert preferences is not None, "the aggregator reads comparisons"
        return preferences

    def term(
        self, labels: LabelSet, segments: Segments, likelihoods: Likelihoods, smoothing: float
    ) -> "Term":
        """Bradley-Terry, or Davidson where ties are outcomes of their own."""
        from rlhf_core.rewards.terms import comparison_term

        assert isinstance(labels, Preferences)
        return comparison_term(labels, likelihoods.ties, smoothing)
