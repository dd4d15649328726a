"""What a run begins with, and the first rollouts; later ones come from the optimiser."""

from rlhf_core import stages
from rlhf_core.feedback_strategy import FeedbackState
from rlhf_core.policies import PolicyState
from rlhf_core.store import Ref
from rlhf_core.teachers.expert_quality import expert_metrics
from rlhf_core.types import Metrics
from tasks.stage import StageContext, stage


@stage
def prepare(
    context: StageContext, policy: Ref | None = None, feedback: Ref | None = None
) -> tuple[dict[str, Ref], Metrics]:
    """Make the policy, or take over that of another run; prepare whoever is going to answer."""
    experiment = context.run.experiment
    earlier = None if feedback is None else context.load(feedback, FeedbackState)
    learned = stages.initial_feedback(experiment, earlier)
    trained = None if policy is None else context.load(policy, PolicyState)
    start = context.time(stages.initial_policy, experiment, trained)
    annotator = context.time(stages.initial_annotator, experiment)
    metrics = expert_metrics(annotator)
    return context.save(metrics, policy=start, annotator=annotator, feedback=learned)


@stage
def collect(context: StageContext, policy: Ref) -> tuple[dict[str, Ref], Metrics]:
    """Play the first policy."""
    before = context.load(policy, PolicyState)
    experiment = context.run.experiment
    after, rollouts, rewards, measured = context.time(stages.collect, experiment, before)
    metrics = {**measured, "policy/steps": float(after.steps)}
    return context.save(metrics, policy=after, rollouts=rollouts, rewards=rewards)
