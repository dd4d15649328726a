"""The loop: the one place that knows the order of the stages and what the guard's verdicts do.

    policy, annotator, feedback <- prepare
    rollouts <- collect(policy)
    for each round:
        request  <- ask(feedback, rollouts)
        answers  <- answer(annotator, request)
        feedback <- fit(feedback, request, answers)
        verdict  <- guard                       ask more, roll back or stop, where it is alarmed
        policy, rollouts, feedback <- optimise(policy, feedback)
        evaluate(policy, feedback)

(Christiano et al. 2017, https://arxiv.org/abs/1706.03741, in turns.) How a stage is carried out is
its driver's affair. `H` is what a driver hands from stage to stage: the values themselves in this
process (`rlhf_core.in_process`), references to stored values in a flow. A stage may be not yet
done: `answer` raises `AnswersPendingError` while people have not answered, the loop is left there,
and it is entered again with the progress of the last round.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, NamedTuple, Protocol, TypeVar

from rlhf_core.experiment import Experiment
from rlhf_core.guard import Verdict
from rlhf_core.types import Metrics

H = TypeVar("H")

TOTALS = {
    "feedback/queries": "feedback/queries_total",
    "feedback/labels": "feedback/labels_total",
    "feedback/judgements": "feedback/judgements_total",
    "feedback/cost": "feedback/cost_total",
    "feedback/seconds": "feedback/seconds_total",
}
"""Metrics that are counted a round, and the running total of each."""
AGREEMENT = ("feedback/agreement_correct", "feedback/agreement_ordered")
"""Answers in the true order, and answers in all that order clips, of a round."""
ROUND_COUNTS = (*TOTALS, *AGREEMENT)
"""Metrics that make up running numbers and are of no interest by themselves."""
COUNTS = (*ROUND_COUNTS, "feedback/skipped")
"""Metrics that add up."""


class Start(NamedTuple, Generic[H]):
    """What a run takes over from another one: retraining, transfer. None starts anew."""

    policy: H | None = None
    """Its steps are counted anew."""
    feedback: H | None = None
    """Labels and the reward fitted to them; they are not charged to the new budget."""


class Prepared(NamedTuple, Generic[H]):
    """What a run begins with."""

    policy: H
    annotator: H
    feedback: H
    metrics: Metrics


class Collected(NamedTuple, Generic[H]):
    """The first rollouts."""

    policy: H
    rollouts: H
    rewards: H
    """True rewards of the rollouts."""
    metrics: Metrics


class Answered(NamedTuple, Generic[H]):
    """What annotators answered."""

    annotator: H
    answers: H
    metrics: Metrics


class Fitted(NamedTuple, Generic[H]):
    """The reward after new answers."""

    feedback: H
    metrics: Metrics


class Restored(NamedTuple, Generic[H]):
    """An earlier policy."""

    policy: H
    metrics: Metrics


class Improved(NamedTuple, Generic[H]):
    """The policy after a round's environment steps."""

    policy: H
    rollouts: H
    rewards: H
    feedback: H
    """With what the reward learned from the rollouts."""
    metrics: Metrics


class Evaluated(NamedTuple, Generic[H]):
    """How good the policy is, and how true the reward is."""

    evaluation: H
    metrics: Metrics


class Stages(Protocol[H]):
    """How each stage is carried out. The same arguments give the same result at any time."""

    def prepare(self, start: Start[H]) -> Prepared[H]:
        """Make what the run begins with, or take it over from another run."""
        ...

    def collect(self, policy: H) -> Collected[H]:
        """Play the first policy."""
        ...

    def ask(self, round: int, feedback: H, rollouts: H, alarmed: bool) -> H:
        """Choose what to ask about the rollouts; returns the request."""
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


@dataclass(frozen=True)
class Progress(Generic[H]):
    """Where a run stands after `round` rounds; a run goes on from here."""

    round: int
    policy: H
    trusted: H
    """The policy before the last round: what a roll-back returns to."""
    feedback: H
    annotator: H
    rollouts: H
    """The newest rollouts of the policy."""
    rewards: H
    """Their true rewards."""
    first: tuple[H, H]
    """Rollouts and true rewards of the first policy."""
    opening: Metrics
    """Metrics of the stages before the first round."""
    answers: tuple[tuple[int, H], ...] = ()
    """Round and answers of each batch of questions."""
    history: tuple[Metrics, ...] = ()
    """Metrics of each round, running totals included."""
    evaluation: H | None = None
    stopped: bool = False
    """The guard ended the run."""

    @property
    def metrics(self) -> Metrics:
        """Metrics of the last round."""
        return self.history[-1] if self.history else {}


def play(
    experiment: Experiment, stages: Stages[H], start: Start[H] | Progress[H] | None = None
) -> Iterator[Progress[H]]:
    """Play a run round by round.

    Args:
        experiment: everything about the run.
        stages: how each stage is carried out.
        start: what to take over from another run, or where this run stood when it was left.

    Yields:
        Where the run stands after each round.
    """
    if isinstance(start, Progress):
        progress = start
    else:
        progress = begin(stages, Start() if start is None else start)
    while progress.round < experiment.budget.rounds and not progress.stopped:
        progress = advance(experiment, stages, progress)
        yield progress


def begin(stages: Stages[H], start: Start[H] = Start()) -> Progress[H]:  # noqa: B008 - immutable
    """Prepare the run and play the first policy."""
    prepared = stages.prepare(start)
    collected = stages.collect(prepared.policy)
    return Progress(
        round=0,
        policy=collected.policy,
        trusted=collected.policy,
        feedback=prepared.feedback,
        annotator=prepared.annotator,
        rollouts=collected.rollouts,
        rewards=collected.rewards,
        first=(collected.rollouts, collected.rewards),
        opening={**prepared.metrics, **collected.metrics},
    )


def advance(experiment: Experiment, stages: Stages[H], progress: Progress[H]) -> Progress[H]:
    """Play one round."""
    round, policy, trusted = progress.round, progress.policy, progress.trusted
    learned = _learn(stages, progress, _Learned(progress.annotator, progress.feedback), False)
    verdict = experiment.guard.judge(progress.history, learned.metrics)
    if verdict is Verdict.ASK_MORE:
        learned = _learn(stages, progress, learned, True)
    metrics = learned.metrics
    if verdict in (Verdict.ROLL_BACK, Verdict.STOP):
        restored = stages.roll_back(round, policy, trusted)
        policy = restored.policy
        metrics = merge_metrics(metrics, restored.metrics)
    if verdict is Verdict.STOP:
        improved = Improved(policy, progress.rollouts, progress.rewards, learned.feedback, {})
    else:
        trusted = policy
        improved = stages.optimise(round, policy, learned.feedback)
    evaluated = stages.evaluate(
        round,
        improved.policy,
        improved.feedback,
        improved.rollouts,
        improved.rewards,
        progress.first,
    )
    for more in (improved.metrics, evaluated.metrics, verdict.metrics):
        metrics = merge_metrics(metrics, more)
    return Progress(
        round=round + 1,
        policy=improved.policy,
        trusted=trusted,
        feedback=improved.feedback,
        annotator=learned.annotator,
        rollouts=improved.rollouts,
        rewards=improved.rewards,
        first=progress.first,
        opening=progress.opening,
        answers=(*progress.answers, *learned.answers),
        history=(*progress.history, with_totals(metrics, progress.history)),
        evaluation=evaluated.evaluation,
        stopped=verdict is Verdict.STOP,
    )


class _Learned(NamedTuple, Generic[H]):
    """What the questions of a round have come to."""

    annotator: H
    feedback: H
    answers: tuple[tuple[int, H], ...] = ()
    metrics: Metrics = {}


def _learn(
    stages: Stages[H], progress: Progress[H], before: _Learned[H], alarmed: bool
) -> _Learned[H]:
    """Ask, wait for the answers, fit."""
    round, rollouts, rewards = progress.round, progress.rollouts, progress.rewards
    request = stages.ask(round, before.feedback, rollouts, alarmed)
    answered = stages.answer(round, before.annotator, request, rollouts, rewards, alarmed)
    fitted = stages.fit(round, before.feedback, request, answered.answers, alarmed)
    metrics = merge_metrics(merge_metrics(before.metrics, answered.metrics), fitted.metrics)
    return _Learned(
        answered.annotator,
        fitted.feedback,
        (*before.answers, (round, answered.answers)),
        metrics,
    )


def merge_metrics(first: Metrics, second: Metrics) -> dict[str, float]:
    """Metrics of two parts of a round: counts and seconds add up, of the rest the later ones stand.

    Of a round that asked twice the accuracy on fresh clips is that of the first time: the second
    batch was asked because of it.
    """
    shared = first.keys() & second.keys()
    sums = {n: first[n] + second[n] for n in shared if n in COUNTS or n.startswith("time/")}
    fresh = ("reward/fresh_accuracy", "reward/fresh_pairs")
    unchanged = {name: first[name] for name in fresh if name in first}
    return {**first, **second, **sums, **unchanged}


def with_totals(metrics: Mapping[str, float], history: Sequence[Metrics]) -> Metrics:
    """A round's metrics with the running totals, and the share of all answers in the true order."""
    totals = {
        total: metrics[counted] + (history[-1][total] if history else 0.0)
        for counted, total in TOTALS.items()
    }
    rounds = [m for m in (*history, metrics) if AGREEMENT[1] in m]
    correct, ordered = (sum(m[name] for m in rounds) for name in AGREEMENT)
    if ordered:
        totals["reward/accuracy_ceiling"] = correct / ordered
    return {**metrics, **totals}
