"""The whole loop in one process: no server, no store, nothing but the stages."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from rlhf_core import stages
from rlhf_core.experiment import Experiment
from rlhf_core.feedback import FeedbackState
from rlhf_core.optimisers import PolicyState
from rlhf_core.threads import limited
from rlhf_core.types import Evaluation, Metrics, RolloutRewards, Rollouts


@dataclass(frozen=True)
class Progress:
    """Where a run stands after `round` rounds; a run goes on from here."""

    round: int
    policy: PolicyState
    feedback: FeedbackState
    rollouts: Rollouts
    rewards: RolloutRewards
    metrics: Metrics
    evaluation: Evaluation | None = None


def begin(experiment: Experiment) -> Progress:
    """An untrained policy and what it does."""
    policy = stages.start(experiment)
    rollouts, rewards = stages.collect(experiment, policy)
    policy = replace(policy, steps=rollouts.steps)
    return Progress(0, policy, experiment.feedback.initial(), rollouts, rewards, {})


def advance(experiment: Experiment, progress: Progress) -> Progress:
    """Play one round: ask, answer, fit, optimise, evaluate."""
    index = progress.round
    request = stages.ask(experiment, index, progress.feedback, progress.rollouts)
    annotations, answered = stages.answer(experiment, index, request, progress.rewards)
    feedback, fitted = stages.fit(experiment, index, progress.feedback, request, annotations)
    optimised = stages.optimise(experiment, index, progress.policy, feedback)
    evaluation, evaluated = stages.evaluate(experiment, index, optimised.state)
    _, compared = stages.compare_rewards(
        experiment, index, feedback, optimised.rollouts, optimised.rewards
    )
    metrics = {**answered, **fitted, **optimised.metrics, **evaluated, **compared}
    return Progress(
        index + 1,
        optimised.state,
        feedback,
        optimised.rollouts,
        optimised.rewards,
        metrics,
        evaluation,
    )


def run(
    experiment: Experiment, report: Callable[[Progress], None] = lambda progress: None
) -> Progress:
    """Play all rounds of an experiment; `report` is told after each."""
    with limited(experiment.threads):
        progress = begin(experiment)
        for _ in range(experiment.budget.rounds):
            progress = advance(experiment, progress)
            report(progress)
    return progress
