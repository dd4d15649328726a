"""The stages of a round as pure functions of an experiment, a round and what came before.

Each draws its randomness from (seed, round, stage), so a stage gives the same result in any
process, now or after a resume. `rlhf_core.loop` chains them in one process; the flows chain them
as Prefect tasks.
"""

from typing import NamedTuple

import numpy as np

from rlhf_core import seeding
from rlhf_core.environments.factory import episode_seeds
from rlhf_core.evaluation.returns import evaluate as play
from rlhf_core.evaluation.statistics import interquartile_mean, pearson, spearman
from rlhf_core.experiment import Experiment
from rlhf_core.feedback import FeedbackState
from rlhf_core.optimisers import Optimised, PolicyState, Report
from rlhf_core.rewards import EnvironmentReward
from rlhf_core.rollouts import collect as record
from rlhf_core.segments import sample_segments, true_rewards
from rlhf_core.evidence import Annotations, Choice, Request
from rlhf_core.types import Evaluation, Metrics, RolloutRewards, Rollouts

DIAGNOSTIC_STEPS = 2048
"""Steps on which the learned reward is compared with the true one."""


class Comparison(NamedTuple):
    """Learned and true reward of the same steps of the newest policy, for the diagnostic plot."""

    learned: np.ndarray
    true: np.ndarray


def start(experiment: Experiment) -> PolicyState:
    """The untrained policy."""
    rng = seeding.generator(experiment.seed, 0, "start")
    return experiment.optimiser.initial(experiment.environment.spaces(), seeding.integer(rng))


def collect(experiment: Experiment, policy: PolicyState) -> tuple[Rollouts, RolloutRewards]:
    """What the untrained policy does; later rounds ask about the optimiser's own rollouts."""
    rng = seeding.generator(experiment.seed, 0, "collect")
    spaces = experiment.environment.spaces()
    act = experiment.optimiser.act(policy, spaces, False, seeding.integer(rng))
    environment = experiment.environment.make_vector()
    count = experiment.environment.count
    try:
        seeds = episode_seeds(rng, count)
        return record(environment, act, experiment.first_steps // count, seeds)
    finally:
        environment.close()


def ask(experiment: Experiment, round: int, feedback: FeedbackState, rollouts: Rollouts) -> Request:
    """What to ask in this round."""
    rng = seeding.generator(experiment.seed, round, "ask")
    labels, spaces = experiment.labels_of(round), experiment.environment.spaces()
    return experiment.feedback.ask(feedback, rollouts, labels, spaces, rng)


def answer(
    experiment: Experiment, round: int, request: Request, rewards: RolloutRewards
) -> tuple[Annotations, Metrics]:
    """What the annotator says, and what it cost."""
    rng = seeding.generator(experiment.seed, round, "answer")
    paid = true_rewards(rewards, request.segments)
    annotations = experiment.annotator.answer(request, paid, rng)
    metrics = {
        "feedback/queries": float(len(request.queries)),
        "feedback/labels": float((annotations.choice != Choice.SKIP).sum()),
        "feedback/skipped": float((annotations.choice == Choice.SKIP).sum()),
        "feedback/cost": float(annotations.cost.sum()),
    }
    returns = paid.values.sum(axis=1)[request.queries.items[annotations.query]]
    better = np.sign(returns[:, 1] - returns[:, 0])
    strict = (annotations.choice < Choice.EQUAL) & (better != 0)
    if strict.any():
        right = np.where(annotations.choice == Choice.RIGHT, 1, -1)
        metrics["feedback/agreement"] = float((right == better)[strict].mean())
    return annotations, metrics


def fit(
    experiment: Experiment,
    round: int,
    feedback: FeedbackState,
    request: Request,
    annotations: Annotations,
) -> tuple[FeedbackState, Metrics]:
    """The reward after this round's answers."""
    rng = seeding.generator(experiment.seed, round, "fit")
    spaces = experiment.environment.spaces()
    return experiment.feedback.tell(feedback, request, annotations, spaces, rng)


def optimise(
    experiment: Experiment,
    round: int,
    policy: PolicyState,
    feedback: FeedbackState,
    report: Report = lambda steps: None,
) -> Optimised:
    """The policy after this round's share of environment steps."""
    rng = seeding.generator(experiment.seed, round, "optimise")
    return experiment.optimiser.optimise(
        policy,
        experiment.environment,
        experiment.feedback.reward(feedback, experiment.environment.spaces()),
        experiment.steps_of(round),
        experiment.first_steps + experiment.total_steps,
        seeding.integer(rng),
        report,
    )


def evaluate(experiment: Experiment, round: int, policy: PolicyState) -> tuple[Evaluation, Metrics]:
    """The true return of the policy. Every round plays the same episodes' seeds."""
    rng = seeding.generator(experiment.seed, 0, "evaluate")
    settings = experiment.evaluation
    environment = experiment.environment.make_vector(settings.episodes)
    act = experiment.optimiser.act(
        policy, experiment.environment.spaces(), settings.deterministic, seeding.integer(rng)
    )
    try:
        evaluation = play(environment, act, episode_seeds(rng, settings.episodes))
    finally:
        environment.close()
    metrics = {
        "eval/true_return_mean": float(evaluation.returns.mean()),
        "eval/true_return_iqm": interquartile_mean(evaluation.returns),
        "eval/true_return_std": float(evaluation.returns.std()),
        "eval/episode_length": float(evaluation.lengths.mean()),
    }
    if evaluation.succeeded is not None:
        metrics["eval/success_rate"] = float(evaluation.succeeded.mean())
    return evaluation, metrics


def compare_rewards(
    experiment: Experiment,
    round: int,
    feedback: FeedbackState,
    rollouts: Rollouts,
    rewards: RolloutRewards,
) -> tuple[Comparison | None, Metrics]:
    """How well the learned reward follows the true one on what the policy does now.

    Nothing is returned for the true-reward control; a correlation is left out where one side
    never varies.
    """
    reward = experiment.feedback.reward(feedback, experiment.environment.spaces())
    if isinstance(reward, EnvironmentReward):
        return None, {}
    rng = seeding.generator(experiment.seed, round, "compare")
    count = min(DIAGNOSTIC_STEPS, rollouts.steps)
    steps = sample_segments(rollouts, count, 1, rng)
    learned = reward(
        steps.observations[:, 0],
        steps.actions[:, 0],
        steps.observations[:, 1],
        steps.terminated[:, 0],
    )
    true = true_rewards(rewards, steps).values[:, 0]
    found = {
        "proxy/true_correlation": pearson(learned, true),
        "proxy/true_rank_correlation": spearman(learned, true),
    }
    metrics = {name: value for name, value in found.items() if value is not None}
    return Comparison(learned, true), metrics
