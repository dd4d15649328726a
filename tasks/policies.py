"""Improving the policy on the learned reward."""

from rlhf_core import stages
from rlhf_core.feedback_strategy import FeedbackState
from rlhf_core.policies import OptimisationContext, PolicyState
from rlhf_core.store import Ref
from rlhf_core.types import Metrics
from tasks import progress
from tasks.executor import flow_executor
from tasks.stage import Work, stage


@stage
def optimise(work: Work, policy: Ref, feedback: Ref) -> tuple[dict[str, Ref], Metrics]:
    """Go on from the policy for this round's share of environment steps."""
    before = work.load(policy, PolicyState)
    state = work.load(feedback, FeedbackState)
    after = work.time(
        stages.optimise,
        work.run.experiment,
        work.round,
        before,
        state,
        OptimisationContext(
            report=lambda steps: progress.tell(progress.Steps(steps)),
            checkpoints=work.checkpoints,
            executor=flow_executor(),
        ),
    )
    metrics = {**after.metrics, "policy/steps": float(after.state.steps)}
    learned = work.run.experiment.feedback.observed(state, after.reward)
    return work.save(
        metrics,
        policy=after.state,
        rollouts=after.rollouts,
        rewards=after.rewards,
        feedback=learned,
    )


@stage
def roll_back(work: Work, policy: Ref, trusted: Ref) -> tuple[dict[str, Ref], Metrics]:
    """Go back to the policy before the last round; what it has cost since stays counted."""
    now, before = work.load(policy, PolicyState), work.load(trusted, PolicyState)
    back = work.time(stages.roll_back, now, before)
    return work.save({"policy/steps": float(back.steps)}, policy=back)
