"""How a run's stages are carried out: the protocol of a driver, and what each stage gives.

`H` is what a driver hands from stage to stage: the values themselves in one process
(`rlhf_core.in_process`), references to stored values in a flow.
"""

from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar, runtime_checkable

from rlhf_core.types import Metrics

H = TypeVar("H")


@dataclass(frozen=True)
class Start(Generic[H]):
    """What a run takes over from another one: retraining, transfer. None starts anew."""

    policy: H | None = None
    """Its steps are counted anew."""
    feedback: H | None = None
    """Labels and the reward fitted to them; they are not charged to the new budget."""


@dataclass(frozen=True)
class Prepared(Generic[H]):
    """What a run begins with."""

    policy: H
    annotator: H
    feedback: H
    metrics: Metrics


@dataclass(frozen=True)
class Collected(Generic[H]):
    """The first rollouts."""

    policy: H
    rollouts: H
    rewards: H
    """True rewards of the rollouts."""
    metrics: Metrics


@dataclass(frozen=True)
class Asked(Generic[H]):
    """What is asked in a round."""

    request: H
    metrics: Metrics


@dataclass(frozen=True)
class Answered(Generic[H]):
    """What annotators answered."""

    annotator: H
    answers: H
    metrics: Metrics


@dataclass(frozen=True)
class Fitted(Generic[H]):
    """The reward after new answers."""

    feedback: H
    metrics: Metrics


@dataclass(frozen=True)
class Restored(Generic[H]):
    """An earlier policy."""

    policy: H
    metrics: Metrics


@dataclass(frozen=True)
class Improved(Generic[H]):
    """The policy after a round's environment steps."""

    policy: H
    rollouts: H
    rewards: H
    feedback: H
    """With what the reward learned from the rollouts."""
    metrics: Metrics


@dataclass(frozen=True)
class Evaluated(Generic[H]):
    """How good the policy is, and how true the reward is."""

    evaluation: H
    metrics: Metrics


@runtime_checkable
class Stages(Protocol[H]):
    """How each stage is carried out. The same arguments give the same result at any time."""

    def prepare(self, start: Start[H]) -> Prepared[H]:
        """Make what the run begins with, or take it over from another run."""
        ...

    def collect(self, policy: H) -> Collected[H]:
        """Play the first policy."""
        ...

    def ask(self, round: int, feedback: H, rollouts: H, alarmed: bool) -> Asked[H]:
        """Choose what to ask about the rollouts."""
        ...

    def answer(
        self, round: int, annotator: H, request: H, rollouts: H, rewards: H, alarmed: bool
    ) -> Answered[H]:
        """Let the annotators answer. Raises `AnswersPendingError` where people have not yet."""
        ...

    def fit(self, round: int, feedback: H, request: H, answers: H, alarmed: bool) -> Fitted[H]:
        """Fit the reward to all answers."""
        ...

    def roll_back(self, round: int, policy: H, trusted: H) -> Restored[H]:
        """Return to the trusted policy; the environment steps that were spent stay counted."""
        ...

    def optimise(self, round: int, policy: H, feedback: H) -> Improved[H]:
        """Improve the policy on the learned reward."""
        ...

    def evaluate(
        self, round: int, policy: H, feedback: H, rollouts: H, rewards: H, first: tuple[H, H]
    ) -> Evaluated[H]:
        """Measure the policy, and compare learned and true reward on the newest rollouts and on
        the first ones.
        """
        ...
