"""Fitting a reward to the answers."""

from rlhf_core import stages
from rlhf_core.answers import Answers
from rlhf_core.feedback_strategy import FeedbackState
from rlhf_core.questions import Request
from rlhf_core.store import Ref
from rlhf_core.types import Metrics
from tasks.stage import StageContext, stage


@stage
def fit(
    context: StageContext, feedback: Ref, request: Ref, answers: Ref, alarmed: bool
) -> tuple[dict[str, Ref], Metrics]:
    """Take the answers in and fit the reward anew."""
    fitted, metrics = context.time(
        stages.fit,
        context.run.experiment,
        context.round,
        context.load(feedback, FeedbackState),
        context.load(request, Request),
        context.load(answers, Answers),
        alarmed,
    )
    return context.save(metrics, feedback=fitted)
