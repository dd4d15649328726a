"""The whole loop in one process: no server, no store, nothing but the stages."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from rlhf_core import stages
from rlhf_core.annotators import AnnotatorState
from rlhf_core.experiment import Experiment
from rlhf_core.feedback_strategy import FeedbackState
from rlhf_core.guard import Verdict
from rlhf_core.policies import PolicyState
from rlhf_core.threads import limited
from rlhf_core.types import Evaluation, Metrics, RolloutRewards, Rollouts


@dataclass(frozen=True)
class Progress:
    """Where a run stands after `round` rounds; a run goes on from here."""

    round: int
    policy: PolicyState
    trusted: PolicyState
    """The policy before the last round: what a roll-back returns to."""
    feedback: FeedbackState
    annotator: AnnotatorState
    rollouts: Rollouts
    rewards: RolloutRewards
    first: tuple[Rollouts, RolloutRewards]
    """What the untrained policy did."""
    history: tuple[Metrics, ...] = ()
    """Metrics of each round."""
    evaluation: Evaluation | None = None
    stopped: bool = False
    """The guard ended the run."""

    @property
    def metrics(self) -> Metrics:
        """Metrics of the last round."""
        return self.history[-1] if self.history else {}


def begin(experiment: Experiment) -> Progress:
    """An untrained policy and what it does."""
    policy = stages.start(experiment)
    rollouts, rewards = stages.collect(experiment, policy)
    policy = replace(policy, steps=rollouts.steps)
    return Progress(
        round=0,
        policy=policy,
        trusted=policy,
        feedback=experiment.feedback.start(experiment.environment),
        annotator=stages.prepare(experiment),
        rollouts=rollouts,
        rewards=rewards,
        first=(rollouts, rewards),
    )


def advance(experiment: Experiment, progress: Progress) -> Progress:
    """Play one round: ask, answer, fit, optimise, evaluate."""
    index = progress.round
    progress, metrics = _learn(experiment, progress, False)
    verdict = experiment.guard.judge(progress.history, metrics)
    if verdict is Verdict.ASK_MORE:
        progress, more = _learn(experiment, progress, True)
        metrics = stages.both(metrics, more)
    metrics = {**metrics, **verdict.metrics}
    if verdict in (Verdict.ROLL_BACK, Verdict.STOP):
        back = stages.roll_back(progress.policy, progress.trusted)
        progress = replace(progress, policy=back)
    if verdict is Verdict.STOP:
        progress = replace(progress, stopped=True)
    else:
        optimised = stages.optimise(experiment, index, progress.policy, progress.feedback)
        metrics |= optimised.metrics
        progress = replace(
            progress,
            trusted=progress.policy,
            policy=optimised.state,
            rollouts=optimised.rollouts,
            rewards=optimised.rewards,
            feedback=experiment.feedback.observed(progress.feedback, optimised.reward),
        )
    evaluation, evaluated = stages.evaluate(experiment, index, progress.policy)
    _, compared = stages.compare_rewards(
        experiment, index, progress.feedback, progress.rollouts, progress.rewards, *progress.first
    )
    return replace(
        progress,
        round=index + 1,
        history=(*progress.history, {**metrics, **evaluated, **compared}),
        evaluation=evaluation,
    )


def _learn(experiment: Experiment, progress: Progress, alarmed: bool) -> tuple[Progress, Metrics]:
    """Ask, be answered, fit."""
    index = progress.round
    request = stages.ask(experiment, index, progress.feedback, progress.rollouts, alarmed)
    annotator, answers, answered = stages.answer(
        experiment, index, progress.annotator, request, progress.rollouts, progress.rewards, alarmed
    )
    feedback, fitted = stages.fit(experiment, index, progress.feedback, request, answers, alarmed)
    learned = replace(progress, annotator=annotator, feedback=feedback)
    return learned, {**answered, **fitted}


def run(
    experiment: Experiment, report: Callable[[Progress], None] = lambda progress: None
) -> Progress:
    """Play all rounds, or until the guard stops the run; `report` is told after each."""
    with limited(experiment.threads):
        progress = begin(experiment)
        while progress.round < experiment.budget.rounds and not progress.stopped:
            progress = advance(experiment, progress)
            report(progress)
    return progress
