"""What all strategies that ask nothing share."""

from collections.abc import Sequence

import numpy as np

from rlhf_core.environments.factory import Spaces
from rlhf_core.feedback import FeedbackState, FeedbackStrategy
from rlhf_core.segments import sample_segments
from rlhf_core.evidence import Queries, Request
from rlhf_core.types import Rollouts

REFERENCE_STEPS = 4096
"""Steps of the policy's own data on which a reward's scale is set."""


def reference_count(steps: int) -> int:
    """Segments of `steps` steps that make up a reference sample."""
    return max(1, REFERENCE_STEPS // steps)


def ask_nothing(rollouts: Rollouts, steps: int, rng: np.random.Generator) -> Request:
    """A request with a reference sample and no query."""
    reference = sample_segments(rollouts, reference_count(steps), steps, rng)
    return Request(reference, Queries(np.empty((0, 2), dtype=np.int64)), reference)


class Silent(FeedbackStrategy):
    """A control that asks nobody anything."""

    def check_fit(self, labels: Sequence[int], steps: Sequence[int], horizon: int) -> None:
        """It always can."""

    def ask(
        self,
        state: FeedbackState,
        rollouts: Rollouts,
        labels: int,
        spaces: Spaces,
        rng: np.random.Generator,
    ) -> Request:
        """Nothing; the request carries the reference sample alone."""
        return ask_nothing(rollouts, 1, rng)
