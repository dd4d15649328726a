"""Asking, and being answered."""

from rlhf_core import stages
from rlhf_core.annotators import AnnotatorState
from rlhf_core.feedback_strategy import FeedbackState
from rlhf_core.questions import Request
from rlhf_core.store import Ref
from rlhf_core.types import Metrics, RolloutRewards, Rollouts
from tasks.stage import Work, stage


@stage
def prepare(work: Work) -> tuple[dict[str, Ref], Metrics]:
    """Draw the workers, train the expert: whoever is going to answer."""
    return work.save({}, annotator=work.time(stages.prepare, work.run.experiment))


@stage
def ask(
    work: Work, feedback: Ref, rollouts: Ref, alarmed: bool = False
) -> tuple[dict[str, Ref], Metrics]:
    """Choose what to ask about the policy's own rollouts."""
    state = work.load(feedback, FeedbackState)
    seen = work.load(rollouts, Rollouts)
    request = work.time(stages.ask, work.run.experiment, work.round, state, seen, alarmed)
    return work.save({}, request=request)


@stage
def answer(
    work: Work, annotator: Ref, request: Ref, rollouts: Ref, rewards: Ref, alarmed: bool = False
) -> tuple[dict[str, Ref], Metrics]:
    """Let the annotators answer. Every label is stored before anything is done with it."""
    state, answers, metrics = work.time(
        stages.answer,
        work.run.experiment,
        work.round,
        work.load(annotator, AnnotatorState),
        work.load(request, Request),
        work.load(rollouts, Rollouts),
        work.load(rewards, RolloutRewards),
        alarmed,
    )
    return work.save(metrics, annotator=state, answers=answers)
