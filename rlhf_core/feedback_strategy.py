"""The swap point: what to ask, and what reward to make of the answers.

`ask` and `tell` are two calls, because the wait for an answer lies between them: microseconds for
a synthetic teacher, days for people. State goes in and comes out; nothing is kept on the strategy.
"""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
from jaxtyping import Float

from rlhf_core.demonstrations import Cloning, Demonstrations
from rlhf_core.environments.factory import Environment
from rlhf_core.environments.spaces import Spaces
from rlhf_core.evidence import (
    Annotations,
    Answers,
    Preferences,
    Queries,
    Rankings,
    Ratings,
    Request,
    Workers,
)
from rlhf_core.plugin import Plugin
from rlhf_core.policies import Optimiser
from rlhf_core.rewards import Reward
from rlhf_core.rewards.model import EnsembleState
from rlhf_core.types import Metrics, Rollouts, Segments, Value


@dataclass(frozen=True, eq=False)
class Evidence(Value):
    """Every judgement of a run so far. Positions point into `segments` and `queries`."""

    segments: Segments
    queries: Queries
    comparisons: Annotations
    rankings: Rankings
    ratings: Ratings

    @property
    def cost(self) -> float:
        """What all judgements cost."""
        return float(sum(f.cost.sum() for f in (self.comparisons, self.rankings, self.ratings)))


@dataclass(frozen=True, eq=False)
class FeedbackState(Value):
    """Everything learned so far: the evidence, and the reward fitted to it.

    A strategy that keeps more derives its own state from this one.
    """

    LEARNED: ClassVar[tuple[str, ...]] = ("ensemble",)
    """Fields that hold the reward, in contrast to what it was learned from."""

    evidence: Evidence | None = None
    """None before the first answer."""
    preferences: Preferences | None = None
    """Labels that the last fit was told, made of the comparisons; positions as in `evidence`."""
    workers: Workers | None = None
    """What the aggregation thinks of those who answered."""
    ensemble: EnsembleState | None = None
    asked: int = 0
    """Labels asked for so far, answered or not."""
    trace: Float[np.ndarray, "round 2"] = field(default_factory=lambda: np.empty((0, 2)))
    """Held-out accuracy after each round that asked, and Spearman correlation of clips' returns
    before and after its fit; NaN where there was none."""
    asked_ranked: int = 0
    """Of the labels asked for, those that are named places of a ranking, or best of a group."""
    asked_rated: int = 0
    """Of the labels asked for, those that are ratings of clips."""
    asked_signals: int = 0
    """Of the labels asked for, those that are ratings of moments."""
    demonstrations: Demonstrations | None = None
    """Every episode that was shown so far."""

    @property
    def cost(self) -> float:
        """What all judgements and demonstrations cost."""
        judged = 0.0 if self.evidence is None else self.evidence.cost
        shown = 0.0 if self.demonstrations is None else float(self.demonstrations.cost.sum())
        return judged + shown


class FeedbackStrategy(Plugin):
    """Asks about what the policy did and turns the answers into a reward."""

    family: ClassVar[str] = "rlhf_core.feedback"

    def initial(self) -> FeedbackState:
        """The state before anything was asked."""
        return FeedbackState()

    def start(self, environment: Environment) -> FeedbackState:
        """Return the initial state, with what the strategy reads from the environment.

        Raises:
            ConfigurationError: the environment lacks what the strategy needs.
        """
        return self.initial()

    @abstractmethod
    def check_fit(self, labels: Sequence[int], steps: Sequence[int], horizon: int) -> None:
        """Raise `ConfigurationError` where the strategy cannot work.

        Args:
            labels: labels asked for in each round.
            steps: environment steps of the rollouts that each round asks about.
            horizon: steps after which an episode ends at the latest.
        """

    @abstractmethod
    def smallest_question(self) -> int:
        """Labels that the smallest question counts as; 0 where nothing is asked."""

    @abstractmethod
    def ask(
        self,
        state: FeedbackState,
        rollouts: Rollouts,
        labels: int,
        spaces: Spaces,
        rng: np.random.Generator,
    ) -> Request:
        """Choose what to ask about the policy's own rollouts, worth at most `labels` labels."""

    @abstractmethod
    def tell(
        self,
        state: FeedbackState,
        request: Request,
        answers: Answers,
        spaces: Spaces,
        rng: np.random.Generator,
    ) -> tuple[FeedbackState, Metrics]:
        """Take the answers in and fit the reward anew."""

    @abstractmethod
    def reward(self, state: FeedbackState, spaces: Spaces) -> Reward:
        """The reward that the optimiser shall maximise now."""

    @abstractmethod
    def demonstrations_wanted(self) -> int:
        """Whole episodes that it asks to be shown, in all rounds together; 0 for most."""

    @abstractmethod
    def check_optimiser(self, optimiser: Optimiser) -> None:
        """Raise `ConfigurationError` where the reward needs what the optimiser does not have."""

    @abstractmethod
    def cloning(self, state: FeedbackState, round: int) -> Cloning | None:
        """Demonstrations that the policy shall imitate before this round's optimisation."""

    @abstractmethod
    def observed(self, state: FeedbackState, reward: Reward) -> FeedbackState:
        """The state after an optimiser's rollouts went through `reward`, which learned of them."""
