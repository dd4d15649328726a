"""How good the policy is on the true return, and how true the reward is."""

from rlhf_core import stages
from rlhf_core.feedback_strategy import FeedbackState
from rlhf_core.policies import PolicyState
from rlhf_core.store import Ref
from rlhf_core.types import Metrics, RolloutRewards, Rollouts
from tasks.stage import Work, stage


@stage
def evaluate(
    work: Work,
    policy: Ref,
    feedback: Ref,
    rollouts: Ref,
    rewards: Ref,
    first: Ref,
    first_rewards: Ref,
) -> tuple[dict[str, Ref], Metrics]:
    """Play evaluation episodes; compare learned and true reward on the newest rollouts and on the
    first.
    """
    experiment = work.run.experiment
    state = work.load(policy, PolicyState)
    learned = work.load(feedback, FeedbackState)
    seen = [
        *(work.load(rollouts, Rollouts), work.load(rewards, RolloutRewards)),
        *(work.load(first, Rollouts), work.load(first_rewards, RolloutRewards)),
    ]
    evaluation, measured = work.time(stages.evaluate, experiment, work.round, state)
    _, compared = work.time(stages.compare_rewards, experiment, work.round, learned, *seen)
    return work.save({**measured, **compared}, evaluation=evaluation)
