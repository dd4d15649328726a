"""How good the policy is on the true return, and how true the reward is."""

from rlhf_core import stages
from rlhf_core.feedback_strategy import FeedbackState
from rlhf_core.policies import PolicyState
from rlhf_core.store import Ref
from rlhf_core.types import Metrics, RolloutRewards, Rollouts
from tasks.stage import StageContext, stage


@stage
def evaluate(
    context: StageContext,
    policy: Ref,
    feedback: Ref,
    rollouts: Ref,
    rewards: Ref,
    first: Ref,
    first_rewards: Ref,
) -> tuple[dict[str, Ref], Metrics]:
    """Play evaluation episodes; compare learned and true reward on the newest rollouts and on the
    first ones.
    """
    experiment, round = context.run.experiment, context.round
    state = context.load(policy, PolicyState)
    evaluation, measured = context.time(stages.evaluate, experiment, round, state)
    _, compared = context.time(
        stages.compare_rewards,
        experiment,
        round,
        context.load(feedback, FeedbackState),
        context.load(rollouts, Rollouts),
        context.load(rewards, RolloutRewards),
        (context.load(first, Rollouts), context.load(first_rewards, RolloutRewards)),
    )
    return context.save({**measured, **compared}, evaluation=evaluation)
