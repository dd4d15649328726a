"""Rate what happened just before one moment of a clip."""

from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np

from rlhf_core.answers import Ratings
from rlhf_core.crowd.weights import rating_weights
from rlhf_core.feedback_forms import FeedbackForm, Respondent, Simulated
from rlhf_core.judgements import Judgements
from rlhf_core.labels import LabelSet, RatingLabels, Workers
from rlhf_core.questions import Queries, Request
from rlhf_core.rewards.model import Likelihoods
from rlhf_core.types import Segments

if TYPE_CHECKING:
    from rlhf_core.rewards.terms import Term


class Signal(FeedbackForm):
    """Rate what happened just before one moment of a clip, as a trainer does who watches (TAMER).

    `likelihoods.delay_steps` spreads the rating over the steps that it is a reaction to (Knox and
    Stone 2009, https://doi.org/10.1145/1597735.1597738).
    """

    ordinal: ClassVar[bool] = False
    kind: Literal["signal"] = "signal"

    def size(self) -> int:
        """Return 1: a question is about a moment of one clip."""
        return 1

    def worth(self) -> int:
        """Return 1: a rated moment counts as one label."""
        return 1

    def compose(
        self,
        items: np.ndarray,
        segments: Segments,
        likelihoods: Likelihoods,
        rng: np.random.Generator,
    ) -> Queries:
        """A random moment of each clip, late enough that there is something to react to."""
        length = segments.mask[items[:, 0]].sum(axis=1)
        first = np.minimum(likelihoods.delay_steps[0], length - 1)
        step = rng.integers(first, length)
        return Queries(items, step, self.worth(), self.model_dump_json())

    def simulate(
        self,
        queries: Queries,
        request: Request,
        respondent: Respondent,
        first_brought: int,
        rng: np.random.Generator,
    ) -> Simulated:
        """Ask the annotator to rate every moment."""
        assert queries.step is not None, "a signal is of a moment"
        return Simulated(*respondent.rate(queries.items[:, 0], queries.step))

    def label(
        self, judgements: Judgements, preferences: LabelSet | None, workers: Workers | None
    ) -> LabelSet:
        """Ratings, each weighed by how far its worker goes with the others."""
        assert isinstance(judgements, Ratings)
        return RatingLabels(judgements, rating_weights(judgements))

    def term(
        self, labels: LabelSet, segments: Segments, likelihoods: Likelihoods, smoothing: float
    ) -> "Term":
        """Return the likelihood of a rating of the steps just before the moment (TAMER)."""
        from rlhf_core.rewards.terms import rating_term

        assert isinstance(labels, RatingLabels)
        return rating_term(labels, segments, likelihoods, self.kind)
