"""Asking, and being answered."""

from rlhf_core import stages
from rlhf_core.annotators import AnnotatorState
from rlhf_core.feedback_strategy import FeedbackState
from rlhf_core.labelling.moment import Moment
from rlhf_core.questions import Request
from rlhf_core.store import Ref
from rlhf_core.types import Metrics, RolloutRewards, Rollouts
from tasks.people import people_of
from tasks.stage import StageContext, stage


@stage
def ask(
    context: StageContext, feedback: Ref, rollouts: Ref, alarmed: bool
) -> tuple[dict[str, Ref], Metrics]:
    """Choose what to ask about the policy's own rollouts."""
    state = context.load(feedback, FeedbackState)
    newest = context.load(rollouts, Rollouts)
    experiment = context.run.experiment
    request = context.time(stages.ask, experiment, context.round, state, newest, alarmed)
    return context.save({}, request=request)


@stage
def answer(
    context: StageContext, annotator: Ref, request: Ref, rollouts: Ref, rewards: Ref, alarmed: bool
) -> tuple[dict[str, Ref], Metrics]:
    """Let the annotators answer. Every label is stored before anything is done with it."""
    with people_of(context.run, Moment(context.round, int(alarmed))) as people:
        state, answers, metrics = context.time(
            stages.answer,
            context.run.experiment,
            context.round,
            context.load(annotator, AnnotatorState),
            context.load(request, Request),
            context.load(rollouts, Rollouts),
            context.load(rewards, RolloutRewards),
            alarmed,
            people,
        )
    return context.save(metrics, annotator=state, answers=answers)
