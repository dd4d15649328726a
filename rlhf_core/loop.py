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
its driver's affair (`rlhf_core.driver`). A stage may be not yet done: `answer` raises
`AnswersPendingError` while people have not answered, the loop is left there, and it is entered
again with the progress of the last round.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Generic

from rlhf_core.driver import H, Improved, Stages, Start
from rlhf_core.experiment import Experiment
from rlhf_core.guard import Reaction
from rlhf_core.round_metrics import merge_metrics, with_totals
from rlhf_core.types import Metrics


@dataclass(frozen=True)
class Batch(Generic[H]):
    """What was asked at once, and the answers."""

    round: int
    request: H | None
    """None where a later batch asked something: in one process requests are held in memory."""
    answers: H
    questions: float
    """How many were asked."""


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
    batches: tuple[Batch[H], ...] = ()
    """Each batch of questions with its answers."""
    history: tuple[Metrics, ...] = ()
    """Metrics of each round, running totals included."""
    evaluation: H | None = None
    alarms: tuple[str, ...] = ()
    """Round and reason of each alarm of the guard."""
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
    while not ended(experiment, progress):
        progress = advance(experiment, stages, progress)
        yield progress


def ended(experiment: Experiment, progress: Progress[H]) -> bool:
    """Whether a run has played all of its rounds, or was stopped by the guard."""
    return progress.round >= experiment.budget.rounds or progress.stopped


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
    if verdict.reaction is Reaction.ASK_MORE:
        learned = _learn(stages, progress, learned, True)
    metrics = learned.metrics
    if verdict.reaction in (Reaction.ROLL_BACK, Reaction.STOP):
        restored = stages.roll_back(round, policy, trusted)
        policy = restored.policy
        metrics = merge_metrics(metrics, restored.metrics)
    if verdict.reaction is Reaction.STOP:
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
    alarm = [f"round {round + 1}: {verdict.reason}"] if verdict.reason else []
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
        batches=_with_newest_request((*progress.batches, *learned.batches)),
        history=(*progress.history, with_totals(metrics, progress.history)),
        evaluation=evaluated.evaluation,
        alarms=(*progress.alarms, *alarm),
        stopped=verdict.reaction is Reaction.STOP,
    )


def _with_newest_request(batches: tuple[Batch[H], ...]) -> tuple[Batch[H], ...]:
    """The batches, of which the newest that asked something alone holds its request."""
    newest = max((index for index, batch in enumerate(batches) if batch.questions), default=None)
    return tuple(
        batch if index == newest else replace(batch, request=None)
        for index, batch in enumerate(batches)
    )


@dataclass(frozen=True)
class _Learned(Generic[H]):
    """What the questions of a round have come to."""

    annotator: H
    feedback: H
    batches: tuple[Batch[H], ...] = ()
    metrics: Metrics = field(default_factory=dict)


def _learn(
    stages: Stages[H], progress: Progress[H], before: _Learned[H], alarmed: bool
) -> _Learned[H]:
    """Ask, wait for the answers, fit."""
    round, rollouts, rewards = progress.round, progress.rollouts, progress.rewards
    asked = stages.ask(round, before.feedback, rollouts, alarmed)
    answered = stages.answer(round, before.annotator, asked.request, rollouts, rewards, alarmed)
    fitted = stages.fit(round, before.feedback, asked.request, answered.answers, alarmed)
    metrics = before.metrics
    for more in (asked.metrics, answered.metrics, fitted.metrics):
        metrics = merge_metrics(metrics, more)
    questions = answered.metrics.get("feedback/queries", 0.0)
    batch = Batch(round, asked.request, answered.answers, questions)
    return _Learned(
        answered.annotator,
        fitted.feedback,
        (*before.batches, batch),
        metrics,
    )
