"""What all strategies share that ask nothing."""

from collections.abc import Sequence

import numpy as np

from rlhf_core.environments.spaces import Spaces
from rlhf_core.feedback_strategy import FeedbackState, FeedbackStrategy, Imitation
from rlhf_core.questions import Request, no_questions
from rlhf_core.segments import sample_segments
from rlhf_core.types import Rollouts

REFERENCE_STEPS = 4096
"""Steps of the policy's own data on which a reward's scale is set."""


def reference_count(steps: int) -> int:
    """Segments of `steps` steps that make up a reference sample."""
    return max(1, REFERENCE_STEPS // steps)


class NoQuestions(FeedbackStrategy):
    """A control that asks nobody anything."""

    def check_fit(self, labels: Sequence[int], steps: Sequence[int], horizon: int) -> None:
        """Any budget will do."""

    def smallest_question(self) -> int:
        """Nothing is asked."""
        return 0

    def ask(
        self,
        state: FeedbackState,
        rollouts: Rollouts,
        labels: int,
        spaces: Spaces,
        rng: np.random.Generator,
    ) -> Request:
        """The request carries a reference sample and no query."""
        return no_questions(sample_segments(rollouts, reference_count(1), 1, rng))

    def imitation(self) -> Imitation | None:
        """Rollouts and demonstrations add nothing to this reward."""
        return None
