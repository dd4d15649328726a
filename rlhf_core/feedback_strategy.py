"""What every feedback strategy is: it asks, and makes a reward of the answers.

`ask` and `tell` are two calls, because the wait for an answer lies between them: microseconds for
a synthetic teacher, days for people. State goes in and comes out; nothing is stored on the
strategy.
"""

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float

from rlhf_core.answers import Answers
from rlhf_core.cloning_settings import Cloning
from rlhf_core.demonstrations import Demonstrations
from rlhf_core.environments.factory import Environment
from rlhf_core.environments.spaces import Spaces
from rlhf_core.labels import Evidence, LabelSet, Workers
from rlhf_core.plugin import Plugin
from rlhf_core.policies import Optimiser
from rlhf_core.questions import Request
from rlhf_core.rewards import Reward
from rlhf_core.rewards.model import EnsembleState
from rlhf_core.rewards.saved import SavedReward
from rlhf_core.types import Metrics, Rollouts, Value


@dataclass(frozen=True, eq=False)
class FeedbackState(Value):
    """Everything learned so far: the evidence, and the reward fitted to it.

    A strategy that learns another reward derives its own state from this one.
    """

    LEARNED: ClassVar[tuple[str, ...]] = ("ensemble",)
    """Fields that hold the reward, in contrast to what it was learned from."""

    evidence: Evidence | None = None
    """None before the first answer."""
    labels: Mapping[str, LabelSet] = field(default_factory=dict)
    """What the last fit was given, by form of feedback; positions as in `evidence`."""
    workers: Workers | None = None
    """What the aggregation estimates of those who answered."""
    ensemble: EnsembleState | None = None
    asked_by_form: Mapping[str, int] = field(default_factory=dict)
    """Labels asked for so far, answered or not, by form of feedback."""
    trace: Float[np.ndarray, "round 2"] = field(default_factory=lambda: np.empty((0, 2)))
    """Held-out accuracy after each round that asked, and Spearman correlation of clips' returns
    before and after its fit; NaN where there was none."""

    earlier_cost: float = 0.0
    """Price of evidence that was taken over from another run."""
    bank: tuple[SavedReward, ...] = ()
    """Rewards of earlier tasks that the first ensemble is made of; then it holds them itself."""

    @property
    def asked(self) -> int:
        """Labels asked for so far, answered or not, in all forms."""
        return sum(self.asked_by_form.values())

    @property
    def cost(self) -> float:
        """Price of all judgements and demonstrations of this run."""
        return 0.0 if self.evidence is None else self.evidence.cost - self.earlier_cost

    @property
    def learned(self) -> Mapping[str, Any]:
        """The fields that hold the reward."""
        return {name: getattr(self, name) for name in self.LEARNED}

    def taken_over(self) -> "FeedbackState":
        """The same for another run: nothing of it is charged to that run's budget."""
        spent = 0.0 if self.evidence is None else self.evidence.cost
        return replace(self, asked_by_form={}, trace=np.empty((0, 2)), earlier_cost=spent)

    @property
    def demonstrations(self) -> Demonstrations | None:
        """Every episode that was demonstrated so far."""
        if self.evidence is None:
            return None
        for judgements in self.evidence.judgements.values():
            if isinstance(judgements, Demonstrations):
                return judgements
        return None


@dataclass(frozen=True)
class Imitation:
    """What a strategy adds that learns from demonstrations and from the optimiser's rollouts."""

    demonstrations: int
    """Whole episodes that it asks for, in all rounds together."""
    check_optimiser: Callable[[Optimiser], None]
    """Raises `ConfigurationError` where the reward needs what an optimiser does not have."""
    cloning: Callable[[FeedbackState, int], Cloning | None]
    """Demonstrations that the policy imitates before the optimisation of a round."""
    observed: Callable[[FeedbackState, Reward], FeedbackState]
    """The state after rollouts of the optimiser went through the reward, which learned of them."""


class FeedbackStrategy(Plugin):
    """Asks about what the policy did and turns the answers into a reward."""

    family: ClassVar[str] = "rlhf_core.feedback"
    needs_true_reward: ClassVar[bool] = False
    """Whether it reads the environment's reward, as the control does."""
    null_control: ClassVar[bool] = False
    """Whether its reward is wrong on purpose, so that nobody should use the policy."""

    @property
    def asks(self) -> bool:
        """Whether anybody is asked anything."""
        return self.smallest_question() > 0

    def initial(self) -> FeedbackState:
        """The state before anything was asked."""
        return FeedbackState()

    def start(
        self, environment: Environment, earlier: FeedbackState | None = None
    ) -> FeedbackState:
        """Return what a run begins with.

        Args:
            environment: what the run plays in; a strategy may read from it.
            earlier: state at the end of another run, whose labels and reward are taken over.

        Raises:
            ConfigurationError: the environment lacks what the strategy needs.
        """
        return self.initial() if earlier is None else earlier.taken_over()

    def with_files(self, state: FeedbackState, environment: Environment) -> FeedbackState:
        """Return the state with what the strategy reads from files, once, when a run begins.

        A run that is resumed or looked at does without these files.

        Raises:
            ConfigurationError: a file is not there, or not of this environment.
        """
        return state

    def memory(self, spaces: Spaces) -> Mapping[str, int]:
        """Return the bytes that a run needs at the least, by the field that decides."""
        return {}

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
    def imitation(self) -> Imitation | None:
        """What is added to learn from demonstrations and rollouts; None where it does not."""
