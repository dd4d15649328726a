"""The stages of a run as pure functions of an experiment, a round and what came before.

Each draws its randomness from (seed, round, stage), so a stage gives the same result in any
process, now or after a resume. `rlhf_core.loop` puts them in order; `rlhf_core.in_process` carries
them out in one process, the flows as Prefect tasks.
"""

from dataclasses import replace

from rlhf_core import seeding
from rlhf_core.annotators import AnnotatorState, People
from rlhf_core.answers import Answers
from rlhf_core.divergence import checked_fit, checked_optimisation
from rlhf_core.environments.factory import episode_seeds
from rlhf_core.environments.spaces import encode
from rlhf_core.evaluation.diagnostics import DIAGNOSTIC_STEPS, Comparison, sample_both_rewards
from rlhf_core.evaluation.distance import starc_distance
from rlhf_core.evaluation.early_ends import early_end_metrics
from rlhf_core.evaluation.outcome import Evaluation
from rlhf_core.evaluation.returns import evaluate as evaluate_episodes
from rlhf_core.evaluation.statistics import interquartile_mean, pearson, spearman
from rlhf_core.experiment import Experiment
from rlhf_core.feedback_strategy import FeedbackState
from rlhf_core.finite import check_metrics
from rlhf_core.policies import (
    DEFAULT_CONTEXT,
    OptimisationContext,
    Optimised,
    PolicyState,
    check_parameters,
)
from rlhf_core.questions import Request
from rlhf_core.reward_learning.labelled import labelled_reward
from rlhf_core.rewards import EnvironmentReward, ObservingReward, Reward
from rlhf_core.rollouts import collect as play
from rlhf_core.rollouts import finished_returns
from rlhf_core.round_metrics import agreement
from rlhf_core.segments import sample_segments, transitions, true_rewards
from rlhf_core.types import Metrics, RolloutRewards, Rollouts, Transitions, Truth


def initial_policy(experiment: Experiment, earlier: PolicyState | None = None) -> PolicyState:
    """The first policy of the optimiser, or that of another run.

    Raises:
        ConfigurationError: the optimiser makes policies with other parameters.
    """
    seed = seeding.integer(seeding.generator(experiment.seed, 0, "start"))
    if earlier is None:
        return experiment.optimiser.first_policy(experiment.environment, seed)
    untrained = experiment.optimiser.initial(experiment.environment.spaces(), seed)
    check_parameters(earlier, untrained, "other run's")
    return earlier


def initial_annotator(experiment: Experiment) -> AnnotatorState:
    """The annotators before the first question."""
    rng = seeding.generator(experiment.seed, 0, "prepare")
    wanted = experiment.plan.demonstrations
    return experiment.annotator.prepare(
        experiment.environment, experiment.optimiser, min(wanted, experiment.budget.labels), rng
    )


def initial_feedback(experiment: Experiment, earlier: FeedbackState | None = None) -> FeedbackState:
    """What was learned before the first question: nothing, or what another run learned."""
    strategy, environment = experiment.feedback, experiment.environment
    return strategy.with_files(strategy.start(environment, earlier), environment)


def collect(
    experiment: Experiment, policy: PolicyState
) -> tuple[PolicyState, Rollouts, RolloutRewards, Metrics]:
    """What the first policy does; later rounds ask about the optimiser's own rollouts.

    Returns:
        The policy with these environment steps counted, the rollouts, their true rewards, and the
        policy's true return, which later ones are compared with; and how many episodes ended early.
    """
    rng = seeding.generator(experiment.seed, 0, "collect")
    spaces = experiment.environment.spaces()
    act = experiment.optimiser.act(policy, spaces, False, seeding.integer(rng))
    environment = experiment.environment.make_vector()
    count = experiment.environment.count
    try:
        seeds = episode_seeds(rng, count)
        rollouts, rewards = play(environment, act, experiment.first_steps // count, seeds)
    finally:
        environment.close()
    _, measured = evaluate(experiment, 0, policy)
    name = "eval/true_return_iqm"
    first = {"eval/first_return_iqm": measured[name]} if name in measured else {}
    metrics = {**early_end_metrics(experiment.environment, rollouts), **first}
    return replace(policy, steps=rollouts.steps), rollouts, rewards, metrics


def ask(
    experiment: Experiment,
    round: int,
    feedback: FeedbackState,
    rollouts: Rollouts,
    alarmed: bool = False,
) -> Request:
    """What to ask in this round; asked once more where the guard is alarmed."""
    rng = seeding.generator(experiment.seed, round, "ask", int(alarmed))
    labels = experiment.plan.due(round, feedback, alarmed)
    return experiment.feedback.ask(feedback, rollouts, labels, experiment.environment.spaces(), rng)


def answer(
    experiment: Experiment,
    round: int,
    annotator: AnnotatorState,
    request: Request,
    rollouts: Rollouts,
    rewards: RolloutRewards,
    alarmed: bool = False,
    people: People | None = None,
) -> tuple[AnnotatorState, Answers, Metrics]:
    """What the annotators answer, and what it cost; `people` can be asked, if there are any."""
    rng = seeding.generator(experiment.seed, round, "answer", int(alarmed))
    truth = None
    if experiment.environment.true_reward:
        truth = Truth(
            segments=true_rewards(rewards, request.segments).values,
            reference=true_rewards(rewards, request.reference).values,
            episodes=finished_returns(rollouts, rewards, experiment.environment.horizon()),
        )
    state, answers = experiment.annotator.answer_with_people(people, annotator, request, truth, rng)
    metrics = {
        "feedback/queries": float(request.count),
        "feedback/labels": float(answers.labels),
        "feedback/judgements": float(answers.count),
        "feedback/skipped": float(answers.skipped),
        "feedback/cost": answers.cost,
        "feedback/seconds": answers.seconds,
    }
    return state, answers, {**metrics, **(agreement(request, answers, truth) if truth else {})}


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
    tell = experiment.feedback.tell
    return checked_fit(experiment, round, lambda: tell(feedback, request, answers, spaces, rng))


def roll_back(policy: PolicyState, trusted: PolicyState) -> PolicyState:
    """The trusted policy, with the steps that were spent in between."""
    return replace(trusted, steps=policy.steps)


def optimise(
    experiment: Experiment,
    round: int,
    policy: PolicyState,
    feedback: FeedbackState,
    context: OptimisationContext = DEFAULT_CONTEXT,
) -> tuple[Optimised, FeedbackState]:
    """The policy after this round's environment steps, and the reward that has learned of them."""
    return checked_optimisation(
        experiment, round, lambda: _optimised(experiment, round, policy, feedback, context)
    )


def _optimised(
    experiment: Experiment,
    round: int,
    policy: PolicyState,
    feedback: FeedbackState,
    context: OptimisationContext,
) -> tuple[Optimised, FeedbackState]:
    spaces, optimiser = experiment.environment.spaces(), experiment.optimiser
    reward = experiment.feedback.reward(feedback, spaces)
    if optimiser.learns_from_pairs:
        reward = labelled_reward(reward, feedback)
    imitation = experiment.feedback.imitation()
    cloning = None if imitation is None else imitation.cloning(feedback, round)
    metrics: Metrics = {}
    if cloning is not None:
        rng = seeding.generator(experiment.seed, round, "clone")
        policy, metrics = optimiser.clone(policy, spaces, cloning, seeding.integer(rng))
    if cloning is not None and cloning.only:
        optimised = _play_only(experiment, round, policy, reward, context)
    else:
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
            learned = optimised.reward.metrics(Transitions(*transitions(steps)))
            optimised = replace(optimised, metrics={**optimised.metrics, **learned})
    if imitation is not None:
        feedback = imitation.observed(feedback, optimised.reward)
    return replace(optimised, metrics={**optimised.metrics, **metrics}), feedback


def _play_only(
    experiment: Experiment,
    round: int,
    policy: PolicyState,
    reward: Reward,
    context: OptimisationContext,
) -> Optimised:
    """A policy that is not optimised, and what it does in this round's environment steps."""
    rng = seeding.generator(experiment.seed, round, "play")
    environment, count = experiment.environment.make_vector(), experiment.environment.count
    act = experiment.optimiser.act(
        policy, experiment.environment.spaces(), False, seeding.integer(rng)
    )
    steps = experiment.steps_of(round) // count
    try:
        rollouts, rewards = play(environment, act, steps, episode_seeds(rng, count))
    finally:
        environment.close()
    context.report(rollouts.steps)
    after = replace(policy, steps=policy.steps + rollouts.steps)
    return Optimised(after, rollouts, rewards, {}, reward)


def evaluate(experiment: Experiment, round: int, policy: PolicyState) -> tuple[Evaluation, Metrics]:
    """The true return of the policy. Every round plays the same episodes' seeds.

    Without a true reward only lengths and successes are measured.
    """
    rng = seeding.generator(experiment.seed, 0, "evaluate")
    settings = experiment.evaluation
    measured_in = settings.environment or experiment.environment
    environment = measured_in.make_vector(settings.episodes)
    act = experiment.optimiser.act(
        policy, experiment.environment.spaces(), settings.deterministic, seeding.integer(rng)
    )
    try:
        evaluation = evaluate_episodes(environment, act, episode_seeds(rng, settings.episodes))
    finally:
        environment.close()
    metrics = {"eval/episode_length": float(evaluation.lengths.mean())}
    if measured_in.true_reward:
        metrics |= {
            "eval/true_return_mean": float(evaluation.returns.mean()),
            "eval/true_return_iqm": interquartile_mean(evaluation.returns),
            "eval/true_return_std": float(evaluation.returns.std()),
        }
    if evaluation.succeeded is not None:
        metrics["eval/success_rate"] = float(evaluation.succeeded.mean())
    check_metrics(metrics, "evaluation", "the rewards of an episode are too large to be added up")
    return evaluation, metrics


def compare_rewards(
    experiment: Experiment,
    round: int,
    feedback: FeedbackState,
    rollouts: Rollouts,
    rewards: RolloutRewards,
    first: tuple[Rollouts, RolloutRewards],
) -> tuple[Comparison | None, Metrics]:
    """How well the learned reward follows the true one, on what the policy does now and off it.

    Off-policy is what the first policy did, the same steps in every round. Nothing is returned
    without a learned or without a true reward; a number is left out where one side never varies.
    """
    reward = experiment.feedback.reward(feedback, experiment.environment.spaces())
    if isinstance(reward, EnvironmentReward) or not experiment.environment.true_reward:
        return None, {}
    rng = seeding.generator(experiment.seed, round, "compare")
    _, learned, true = sample_both_rewards(reward, rollouts, rewards, rng)
    rng = seeding.generator(experiment.seed, 0, "compare off-policy")
    steps, off_learned, off_true = sample_both_rewards(reward, *first, rng)
    space = experiment.environment.spaces().observation
    measured = {
        "proxy/true_correlation": pearson(learned, true),
        "proxy/true_rank_correlation": spearman(learned, true),
        "proxy/off_policy_correlation": pearson(off_learned, off_true),
        "proxy/off_policy_rank_correlation": spearman(off_learned, off_true),
        "reward/starc_distance": starc_distance(
            off_learned,
            off_true,
            encode(space, steps.observations[:, 0]),
            encode(space, steps.observations[:, 1]),
            steps.terminated[:, 0],
            experiment.evaluation.discount,
            rng,
        ),
    }
    metrics = {name: value for name, value in measured.items() if value is not None}
    return Comparison(learned, true), metrics
