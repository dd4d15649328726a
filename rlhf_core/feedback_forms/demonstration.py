"""Show whole episodes."""

from typing import ClassVar, Literal

import numpy as np

from rlhf_core.feedback_forms import FeedbackForm, Respondent, Simulated
from rlhf_core.judgements import Judgements
from rlhf_core.labels import LabelSet, Workers
from rlhf_core.questions import Queries, Request
from rlhf_core.rewards.model import Likelihoods
from rlhf_core.types import Segments


class Demonstration(FeedbackForm):
    """Show how it is done, in whole episodes; one label an episode.

    Episodes are no labels on clips: `inverse_rl` learns from them, and no ensemble is fitted.
    """

    ordinal: ClassVar[bool] = False
    kind: Literal["demonstration"] = "demonstration"

    def size(self) -> int:
        """No clip: the episodes are the annotator's own."""
        return 0

    def worth(self) -> int:
        """Return 1: an episode counts as one label."""
        return 1

    def simulate(
        self,
        queries: Queries,
        request: Request,
        respondent: Respondent,
        first_brought: int,
        rng: np.random.Generator,
    ) -> Simulated:
        """Ask the annotator for one episode for each query."""
        return Simulated(*respondent.demonstrate(len(queries)))

    def label(
        self, judgements: Judgements, preferences: LabelSet | None, workers: Workers | None
    ) -> None:
        """Episodes are no labels on clips."""

    def term(
        self, labels: LabelSet, segments: Segments, likelihoods: Likelihoods, smoothing: float
    ) -> None:
        """Episodes are no labels on clips."""
