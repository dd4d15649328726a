"""Rate one clip on a scale."""

from typing import TYPE_CHECKING, Literal

import numpy as np

from rlhf_core.feedback_forms import Respondent, ScaleForm, Simulated
from rlhf_core.judgements import WHOLE
from rlhf_core.questions import Queries, Request

if TYPE_CHECKING:
    pass


class Rating(ScaleForm):
    """Rate one clip as a whole on a scale.

    `likelihoods.ratings` says whether a rating is a number with Gaussian noise or an ordered level.
    """

    kind: Literal["rating"] = "rating"

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
