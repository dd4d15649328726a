"""Pictures of a run: plots, a film of the policy, a film of the questions."""

from collections.abc import Sequence

from rlhf_core import seeding, stages
from rlhf_core.answers import Answers
from rlhf_core.errors import ConfigurationError
from rlhf_core.evaluation import plots, video
from rlhf_core.experiment import Experiment
from rlhf_core.feedback_strategy import FeedbackState
from rlhf_core.loop import Progress
from rlhf_core.policies import PolicyState
from rlhf_core.questions import Request
from rlhf_core.store import Ref
from rlhf_core.types import RolloutRewards, Rollouts, Segments
from tasks.stage import StageContext

FILMED_QUESTIONS = 4
"""Of each form."""

Question = tuple[Sequence[int], str]
"""Positions of the clips, and the answer in words."""


def draw(
    context: StageContext,
    last: Progress[Ref],
    feedback: FeedbackState,
    policy: PolicyState,
    reference: float | None,
) -> tuple[dict[str, bytes], list[str]]:
    """Draw everything; returns files by their path, and notes of what could not be drawn.

    Args:
        context: of the stage.
        last: where the run stands after its last round.
        feedback: what it learned.
        policy: its last policy.
        reference: true return after training on the true reward, to compare with.
    """
    experiment, notes = context.run.experiment, list[str]()
    files = _plots(context, last, feedback, reference)
    try:
        files["video/policy.gif"] = _film(experiment, policy)
    except ConfigurationError as error:
        return files, [f"no film: {error}"]
    for form, (segments, questions) in _newest_questions(context, last).items():
        try:
            questions_film = video.film_questions(experiment.environment, segments, questions)
        except ConfigurationError as error:
            notes.append(f"no film of the questions ({form}): {error}")
            continue
        files[f"video/questions_{form}.gif"] = questions_film
    return files, notes


def _newest_questions(
    context: StageContext, last: Progress[Ref]
) -> dict[str, tuple[Segments, list[Question]]]:
    """The newest questions of each form, and the clips that they are about."""
    newest: dict[str, tuple[Segments, list[Question]]] = {}
    for batch in last.batches:
        if batch.request is None:
            continue
        request = context.load(batch.request, Request)
        answers = context.load(batch.answers, Answers)
        for form, judgements in answers.judgements.items():
            if not len(request.segments):
                continue  # The questions were about whole episodes, not clips.
            entries = judgements.entries(request.queries.get(form))
            # Positions of clips, each with its moment behind an `@` if it is about one.
            asked: list[Question] = [
                ([int(clip.partition("@")[0]) for clip in question.split()], answer)
                for question, answer in zip(entries.questions, entries.answers, strict=True)
            ]
            # Clips that an annotator brought cannot be replayed.
            own = [item for item in asked if max(item[0], default=0) < len(request.segments)]
            if own:
                newest[form] = request.segments, own[-FILMED_QUESTIONS:]
    return newest


def _plots(
    context: StageContext, last: Progress[Ref], feedback: FeedbackState, reference: float | None
) -> dict[str, bytes]:
    experiment, history, files = context.run.experiment, last.history, dict[str, bytes]()
    steps = [int(m["policy/steps"]) for m in history]
    if "eval/true_return_iqm" in last.metrics:
        returns = [m["eval/true_return_iqm"] for m in history]
        labels = [int(m["feedback/labels_total"]) for m in history]
        marks = {
            "before training": last.opening.get("eval/first_return_iqm"),
            "trained on the true reward": reference,
        }
        curve = plots.learning_curve(steps, returns, labels, experiment.name, marks)
        files["plots/learning_curve.png"] = curve
        files["plots/proxy_and_true.png"] = plots.proxy_and_true(
            steps,
            [m.get("proxy/gain", 0.0) for m in history],
            returns,
            [m["guard/alarm"] > 0 for m in history],
            last.alarms,
        )
    if experiment.environment.true_reward:
        comparison, _ = stages.compare_rewards(
            experiment,
            len(history) - 1,
            feedback,
            context.load(last.rollouts, Rollouts),
            context.load(last.rewards, RolloutRewards),
            (context.load(last.first[0], Rollouts), context.load(last.first[1], RolloutRewards)),
        )
        if comparison is not None:
            files["plots/reward_diagnostic.png"] = plots.reward_against_truth(
                comparison.learned, comparison.true, "reward on the newest rollouts"
            )
    if any("reward/heldout_accuracy" in m for m in history):
        files["plots/reward_quality.png"] = plots.reward_quality(history)
    return files


def _film(experiment: Experiment, policy: PolicyState) -> bytes:
    """An episode of the policy. Raises `ConfigurationError` where it cannot be drawn."""
    rng = seeding.generator(experiment.seed, 0, "film")
    spaces, deterministic = experiment.environment.spaces(), experiment.evaluation.deterministic
    episode, actions = seeding.integer(rng), seeding.integer(rng)
    act = experiment.optimiser.act(policy, spaces, deterministic, actions)
    return video.film(experiment.environment, act, episode)
