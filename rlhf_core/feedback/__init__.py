"""The swap point: what to ask, and what reward to make of the answers.

`ask` and `tell` are two calls, because the wait for an answer lies between them: microseconds for
a synthetic teacher, days for people. State goes in and comes out; nothing is kept on the strategy.
"""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np

from rlhf_core.environments.factory import Spaces
from rlhf_core.plugin import Family, Plugin
from rlhf_core.rewards import Reward
from rlhf_core.rewards.model import EnsembleState
from rlhf_core.evidence import Annotations, Preferences, Request
from rlhf_core.types import Metrics, Rollouts, Segments, Value


@dataclass(frozen=True, eq=False)
class FeedbackState(Value):
    """Everything learned so far: the evidence, and the reward fitted to it.

    A strategy that keeps more derives its own state from this one.
    """

    segments: Segments | None = None
    """All segments that were ever compared."""
    preferences: Preferences | None = None
    """All labels, in the order in which they came."""
    ensemble: EnsembleState | None = None


class FeedbackStrategy(Plugin):
    """Asks about what the policy did and turns the answers into a reward."""

    family: ClassVar[str] = "rlhf_core.feedback"

    def initial(self) -> FeedbackState:
        """The state before anything was asked."""
        return FeedbackState()

    @abstractmethod
    def check_fit(self, labels: Sequence[int], steps: Sequence[int], horizon: int) -> None:
        """Raise `ConfigurationError` where the strategy cannot work.

        Args:
            labels: judgements asked for in each round.
            steps: environment steps of the rollouts that each round asks about.
            horizon: steps after which an episode ends at the latest.
        """

    @abstractmethod
    def ask(
        self,
        state: FeedbackState,
        rollouts: Rollouts,
        labels: int,
        spaces: Spaces,
        rng: np.random.Generator,
    ) -> Request:
        """Choose what to ask about the policy's own rollouts, for at most `labels` judgements."""

    @abstractmethod
    def tell(
        self,
        state: FeedbackState,
        request: Request,
        annotations: Annotations,
        spaces: Spaces,
        rng: np.random.Generator,
    ) -> tuple[FeedbackState, Metrics]:
        """Take the answers in and fit the reward anew."""

    @abstractmethod
    def reward(self, state: FeedbackState, spaces: Spaces) -> Reward:
        """The reward that the optimiser shall maximise now."""


FEEDBACK = Family(FeedbackStrategy, default="preference")
AnyFeedbackStrategy = Annotated[FeedbackStrategy, FEEDBACK]
