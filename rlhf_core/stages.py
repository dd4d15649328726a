"""The stages of a round as pure functions of an experiment, a round and what came before.

Each draws its randomness from (seed, round, stage), so a stage gives the same result in any
process, now or after a resume. `rlhf_core.loop` chains them in one process; the flows chain them
as Prefect tasks.
"""

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from rlhf_core import seeding
from rlhf_core.annotators import AnnotatorState
from rlhf_core.environments.factory import episode_seeds
from rlhf_core.environments.spaces import encode
from rlhf_core.evaluation.agreement import agreement
from rlhf_core.evaluation.distance import starc_distance
from rlhf_core.evaluation.returns import evaluate as play
from rlhf_core.evaluation.statistics import interquartile_mean, pearson, spearman
from rlhf_core.evidence import Answers, Choice, Request
from rlhf_core.experiment import Experiment
from rlhf_core.feedback_strategy import FeedbackState
from rlhf_core.policies import (
    DEFAULT_CONTEXT,
    OptimisationContext,
    Optimised,
    PolicyState,
    Report,
)
from rlhf_core.rewards import EnvironmentReward, ObservingReward, Reward, RewardFunction
from rlhf_core.rollouts import collect as record
from rlhf_core.rollouts import finished_returns
from rlhf_core.segments import sample_segments, transitions, true_rewards
from rlhf_core.types import (
    Evaluation,
    Metrics,
    RolloutRewards,
    Rollouts,
    Segments,
    Transitions,
    Truth,
)

DIAGNOSTIC_STEPS = 2048
"""Steps on which the learned reward is compared with the true one."""


COUNTS = (
    "feedback/queries",
    "feedback/labels",
    "feedback/judgements",
    "feedback/skipped",
    "feedback/cost",
    "feedback/seconds",
)
"""Metrics that add up."""


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


def prepare(experiment: Experiment) -> AnnotatorState:
    """The annotators before the first question."""
    rng = seeding.generator(experiment.seed, 0, "prepare")
    wanted = experiment.feedback.demonstrations_wanted()
    return experiment.annotator.prepare(
        experiment.environment, experiment.optimiser, min(wanted, experiment.budget.labels), rng
    )


def ask(
    experiment: Experiment,
    round: int,
    feedback: FeedbackState,
    rollouts: Rollouts,
    alarmed: bool = False,
) -> Request:
    """What to ask in this round; asked once more where the guard is alarmed."""
    rng = seeding.generator(experiment.seed, round, "ask", int(alarmed))
    labels = experiment.labels_due(round, feedback, alarmed)
    return experiment.feedback.ask(feedback, rollouts, labels, experiment.environment.spaces(), rng)


def answer(
    experiment: Experiment,
    round: int,
    annotator: AnnotatorState,
    request: Request,
    rollouts: Rollouts,
    rewards: RolloutRewards,
    alarmed: bool = False,
) -> tuple[AnnotatorState, Answers, Metrics]:
    """What the annotators say, and what it cost."""
    rng = seeding.generator(experiment.seed, round, "answer", int(alarmed))
    truth = Truth(
        segments=true_rewards(rewards, request.segments).values,
        reference=true_rewards(rewards, request.reference).values,
        episodes=finished_returns(rollouts, rewards, experiment.environment.horizon()),
    )
    state, answers = experiment.annotator.answer(annotator, request, truth, rng)
    said = agreement(request, answers, truth)
    state = replace(state, right=state.right + said.right, judged=state.judged + said.judged)
    metrics = {
        "feedback/queries": float(request.questions),
        "feedback/labels": float(answers.labels),
        "feedback/judgements": float(sum(len(form) for form in answers.forms)),
        "feedback/skipped": float((answers.comparisons.choice == Choice.SKIP).sum()),
        "feedback/cost": answers.cost,
        "feedback/seconds": float(sum(form.seconds.sum() for form in answers.forms)),
    }
    if said.judged:
        metrics["feedback/agreement"] = said.right / said.judged
    if state.judged:
        metrics["reward/accuracy_ceiling"] = state.right / state.judged
    return state, answers, metrics


def both(first: Metrics, second: Metrics) -> dict[str, float]:
    """Metrics of two parts of a round: counts and seconds add up, of the rest the later ones stand.

    Of a round that asked twice the accuracy on fresh clips is that of the first time: the second
    batch was asked because of it.
    """
    shared = first.keys() & second.keys()
    sums = {n: first[n] + second[n] for n in shared if n in COUNTS or n.startswith("time/")}
    kept = {n: first[n] for n in ("reward/fresh_accuracy", "reward/fresh_pairs") if n in first}
    return {**first, **second, **sums, **kept}


def fit(
    experiment: Experiment,
    round: int,
    feedback: FeedbackState,
    request: Request,
    answers: Answers,
    alarmed: bool = False,
) -> tuple[FeedbackState, Metrics]:
    """The reward after this round's answers."""
    rng = seeding.generator(experiment.seed, round, "fit", int(alarmed))
    spaces = experiment.environment.spaces()
    return experiment.feedback.tell(feedback, request, answers, spaces, rng)


def roll_back(policy: PolicyState, trusted: PolicyState) -> PolicyState:
    """The policy of before, with the steps that were spent in between."""
    return replace(trusted, steps=policy.steps)


def optimise(
    experiment: Experiment,
    round: int,
    policy: PolicyState,
    feedback: FeedbackState,
    context: OptimisationContext = DEFAULT_CONTEXT,
) -> Optimised:
    """The policy after this round's share of environment steps."""
    spaces, optimiser = experiment.environment.spaces(), experiment.optimiser
    reward = experiment.feedback.reward(feedback, spaces)
    cloning = experiment.feedback.cloning(feedback, round)
    if cloning is not None:
        rng = seeding.generator(experiment.seed, round, "clone")
        policy = optimiser.clone(policy, spaces, cloning, seeding.integer(rng))
        if cloning.only:
            return _played(experiment, round, policy, reward, context.report)
    rng = seeding.generator(experiment.seed, round, "optimise")
    optimised = optimiser.optimise(
        policy,
        experiment.environment,
        reward,
        experiment.steps_of(round),
        experiment.first_steps + experiment.total_steps,
        seeding.integer(rng),
        context,
    )
    if isinstance(optimised.reward, ObservingReward):
        steps = sample_segments(optimised.rollouts, DIAGNOSTIC_STEPS, 1, rng)
        told = optimised.reward.metrics(Transitions(*transitions(steps)))
        optimised = replace(optimised, metrics={**optimised.metrics, **told})
    return optimised


def _played(
    experiment: Experiment, round: int, policy: PolicyState, reward: Reward, report: Report
) -> Optimised:
    """A policy that is not optimised, and what it does in this round's environment steps."""
    rng = seeding.generator(experiment.seed, round, "play")
    environment, count = experiment.environment.make_vector(), experiment.environment.count
    act = experiment.optimiser.act(
        policy, experiment.environment.spaces(), False, seeding.integer(rng)
    )
    steps = experiment.steps_of(round) // count
    try:
        rollouts, rewards = record(environment, act, steps, episode_seeds(rng, count))
    finally:
        environment.close()
    report(rollouts.steps)
    after = replace(policy, steps=policy.steps + rollouts.steps)
    return Optimised(after, rollouts, rewards, {}, reward)


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
    first: Rollouts,
    first_rewards: RolloutRewards,
) -> tuple[Comparison | None, Metrics]:
    """How well the learned reward follows the true one, on what the policy does now and off it.

    Off-policy is what the untrained policy did, the same steps in every round. Nothing is returned
    for the true-reward control; a number is left out where one side never varies.
    """
    reward = experiment.feedback.reward(feedback, experiment.environment.spaces())
    if isinstance(reward, EnvironmentReward):
        return None, {}
    rng = seeding.generator(experiment.seed, round, "compare")
    _, learned, true = _both_rewards(reward, rollouts, rewards, rng)
    rng = seeding.generator(experiment.seed, 0, "compare off-policy")
    then, off_learned, off_true = _both_rewards(reward, first, first_rewards, rng)
    space = experiment.environment.spaces().observation
    found = {
        "proxy/true_correlation": pearson(learned, true),
        "proxy/true_rank_correlation": spearman(learned, true),
        "proxy/off_policy_correlation": pearson(off_learned, off_true),
        "proxy/off_policy_rank_correlation": spearman(off_learned, off_true),
        "reward/starc_distance": starc_distance(
            off_learned,
            off_true,
            encode(space, then.observations[:, 0]),
            encode(space, then.observations[:, 1]),
            then.terminated[:, 0],
            experiment.evaluation.discount,
            rng,
        ),
    }
    metrics = {name: value for name, value in found.items() if value is not None}
    return Comparison(learned, true), metrics


def _both_rewards(
    reward: RewardFunction, rollouts: Rollouts, rewards: RolloutRewards, rng: np.random.Generator
) -> tuple[Segments, np.ndarray, np.ndarray]:
    """Single steps at random, and what learned and true reward pay for them."""
    count = min(DIAGNOSTIC_STEPS, rollouts.steps)
    steps = sample_segments(rollouts, count, 1, rng)
    learned = reward(
        steps.observations[:, 0],
        steps.actions[:, 0],
        steps.observations[:, 1],
        steps.terminated[:, 0],
    )
    return steps, learned, true_rewards(rewards, steps).values[:, 0]
