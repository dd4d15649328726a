"""Rate one clip on a scale."""

from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np

from rlhf_core.answers import Ratings
from rlhf_core.crowd.weights import rating_weights
from rlhf_core.feedback_forms import FeedbackForm, Respondent, Simulated
from rlhf_core.judgements import WHOLE, Judgements
from rlhf_core.labels import LabelSet, RatingLabels, Workers
from rlhf_core.questions import Queries, Request
from rlhf_core.rewards.model import Likelihoods
from rlhf_core.types import Segments

if TYPE_CHECKING:
    from rlhf_core.rewards.terms import Term


class Rating(FeedbackForm):
    """Rate one clip as a whole on a scale.

    `likelihoods.ratings` says whether a rating is a number with Gaussian noise or an ordered level.
    """

    ordinal: ClassVar[bool] = False
    kind: Literal["rating"] = "rating"

    def size(self) -> int:
        """Return 1: a question is about one clip."""
        return 1

    def worth(self) -> int:
        """Return 1: a rating counts as one label."""
        return 1

    def simulate(
        self,
        queries: Queries,
        request: Request,
        respondent: Respondent,
        first_brought: int,
        rng: np.random.Generator,
    ) -> Simulated:
        """Ask the annotator to rate every clip."""
        clips = queries.items[:, 0]
        return Simulated(*respondent.rate(clips, np.full_like(clips, WHOLE)))

    def label(
        self, judgements: Judgements, preferences: LabelSet | None, workers: Workers | None
    ) -> LabelSet:
        """Ratings, each weighed by how far its worker goes with the others."""
        assert isinstance(judgements, Ratings)
        return RatingLabels(judgements, rating_weights(judgements))

    def term(
        self, labels: LabelSet, segments: Segments, likelihoods: Likelihoods, smoothing: float
    ) -> "Term":
        """A Gaussian around a line of the return, or ordered levels."""
        from rlhf_core.rewards.terms import rating_term

        assert isinstance(labels, RatingLabels)
        return rating_term(labels, segments, likelihoods, self.kind)
