"""Fitting a reward to the answers."""

from rlhf_core import stages
from rlhf_core.answers import Answers
from rlhf_core.feedback_strategy import FeedbackState
from rlhf_core.questions import Request
from rlhf_core.store import Ref
from rlhf_core.types import Metrics
from tasks.stage import Work, stage


@stage
def fit(
    work: Work, feedback: Ref, request: Ref, answers: Ref, alarmed: bool = False
) -> tuple[dict[str, Ref], Metrics]:
    """Take the answers in and fit the reward anew."""
    fitted, metrics = work.time(
        stages.fit,
        work.run.experiment,
        work.round,
        work.load(feedback, FeedbackState),
        work.load(request, Request),
        work.load(answers, Answers),
        alarmed,
    )
    return work.save(metrics, feedback=fitted)
