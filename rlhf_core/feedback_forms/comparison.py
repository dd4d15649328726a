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
        """A pair."""
        return 2

    def worth(self) -> int:
        """One label a pair."""
        return 1

    def compose(
        self,
        items: np.ndarray,
        segments: Segments,
        likelihoods: Likelihoods,
        rng: np.random.Generator,
    ) -> Queries:
        """The pairs as they are."""
        return Queries(items, worth=self.worth(), form=self.model_dump_json())

    def simulate(
        self,
        queries: Queries,
        request: Request,
        respondent: Respondent,
        first_brought: int,
        rng: np.random.Generator,
    ) -> Simulated:
        """Compare every pair."""
        return Simulated(*respondent.compare(queries.items))

    def label(
        self, judgements: Judgements, preferences: LabelSet | None, workers: Workers | None
    ) -> LabelSet:
        """Soft labels, made by the aggregator."""
        assert preferences is not None, "the aggregator reads comparisons"
        return preferences

    def term(
        self, labels: LabelSet, segments: Segments, likelihoods: Likelihoods, smoothing: float
    ) -> "Term":
        """Bradley-Terry, or Davidson where ties are outcomes of their own."""
        from rlhf_core.rewards.terms import comparison_term

        assert isinstance(labels, Preferences)
        return comparison_term(labels, likelihoods.ties, smoothing)
