"""What all strategies that ask nothing share."""

from collections.abc import Sequence

import numpy as np

from rlhf_core.demonstrations import Cloning
from rlhf_core.environments.spaces import Spaces
from rlhf_core.evidence import Request, no_queries
from rlhf_core.feedback_strategy import FeedbackState, FeedbackStrategy
from rlhf_core.policies import Optimiser
from rlhf_core.rewards import Reward
from rlhf_core.segments import sample_segments
from rlhf_core.types import Rollouts, Segments

REFERENCE_STEPS = 4096
"""Steps of the policy's own data on which a reward's scale is set."""


def reference_count(steps: int) -> int:
    """Segments of `steps` steps that make up a reference sample."""
    return max(1, REFERENCE_STEPS // steps)


def ask_nothing(reference: Segments) -> Request:
    """A request with a reference sample and no question."""
    return Request(reference, no_queries(), reference)


class Silent(FeedbackStrategy):
    """A control that asks nobody anything."""

    def check_fit(self, labels: Sequence[int], steps: Sequence[int], horizon: int) -> None:
        """It always can."""

    def smallest_question(self) -> int:
        """There is none."""
        return 0

    def ask(
        self,
        state: FeedbackState,
        rollouts: Rollouts,
        labels: int,
        spaces: Spaces,
        rng: np.random.Generator,
    ) -> Request:
        """Nothing; the request carries the reference sample alone."""
        return ask_nothing(sample_segments(rollouts, reference_count(1), 1, rng))

    def demonstrations_wanted(self) -> int:
        """None."""
        return 0

    def check_optimiser(self, optimiser: Optimiser) -> None:
        """Any will do."""

    def cloning(self, state: FeedbackState, round: int) -> Cloning | None:
        """Nothing is shown."""
        return None

    def observed(self, state: FeedbackState, reward: Reward) -> FeedbackState:
        """Rollouts teach this reward nothing."""
        return state
