"""Asking, and being answered."""

from rlhf_core import stages
from rlhf_core.feedback import FeedbackState
from rlhf_core.store import Ref
from rlhf_core.evidence import Request
from rlhf_core.types import Metrics, RolloutRewards, Rollouts
from tasks.stage import Work, stage


@stage
def ask(work: Work, feedback: Ref, rollouts: Ref) -> tuple[dict[str, Ref], Metrics]:
    """Choose what to ask about the policy's own rollouts."""
    state = work.load(feedback, FeedbackState)
    seen = work.load(rollouts, Rollouts)
    request = work.time(stages.ask, work.run.experiment, work.round, state, seen)
    return work.save({}, request=request)


@stage
def answer(work: Work, request: Ref, rewards: Ref) -> tuple[dict[str, Ref], Metrics]:
    """Let the annotator answer. Every label is stored before anything is done with it."""
    asked = work.load(request, Request)
    paid = work.load(rewards, RolloutRewards)
    annotations, metrics = work.time(stages.answer, work.run.experiment, work.round, asked, paid)
    return work.save(metrics, annotations=annotations)
