"""Fitting a reward to the answers."""

from rlhf_core import stages
from rlhf_core.feedback import FeedbackState
from rlhf_core.store import Ref
from rlhf_core.evidence import Annotations, Request
from rlhf_core.types import Metrics
from tasks.stage import Work, stage


@stage
def fit(
    work: Work, feedback: Ref, request: Ref, annotations: Ref
) -> tuple[dict[str, Ref], Metrics]:
    """Take the answers in and fit the reward anew."""
    state = work.load(feedback, FeedbackState)
    asked = work.load(request, Request)
    answers = work.load(annotations, Annotations)
    fitted, metrics = work.time(stages.fit, work.run.experiment, work.round, state, asked, answers)
    return work.save(metrics, feedback=fitted)
