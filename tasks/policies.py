"""Improving the policy on the learned reward."""

from rlhf_core import stages
from rlhf_core.feedback_strategy import FeedbackState
from rlhf_core.policies import OptimisationContext, PolicyState
from rlhf_core.store import Ref
from rlhf_core.types import Metrics
from tasks import progress
from tasks.executor import flow_executor
from tasks.stage import StageContext, stage


@stage
def optimise(context: StageContext, policy: Ref, feedback: Ref) -> tuple[dict[str, Ref], Metrics]:
    """Improve the policy for this round's share of environment steps."""
    run_id = context.run.run_id
    after, learned = context.time(
        stages.optimise,
        context.run.experiment,
        context.round,
        context.load(policy, PolicyState),
        context.load(feedback, FeedbackState),
        OptimisationContext(
            report=lambda steps: progress.send(progress.Steps(run_id, steps)),
            checkpoints=context.checkpoints,
            executor=flow_executor(),
        ),
    )
    return context.save(
        {**after.metrics, "policy/steps": float(after.state.steps)},
        policy=after.state,
        rollouts=after.rollouts,
        rewards=after.rewards,
        feedback=learned,
    )


@stage
def roll_back(context: StageContext, policy: Ref, trusted: Ref) -> tuple[dict[str, Ref], Metrics]:
    """Return to the policy before the last round; the steps spent since stay counted."""
    now, before = context.load(policy, PolicyState), context.load(trusted, PolicyState)
    back = context.time(stages.roll_back, now, before)
    return context.save({"policy/steps": float(back.steps)}, policy=back)
