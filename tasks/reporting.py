"""Logging a round, and at the end the whole run."""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from prefect import task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE

from rlhf_core import seeding, stages
from rlhf_core.answers import Answers
from rlhf_core.evaluation import plots, video
from rlhf_core.experiment import Experiment
from rlhf_core.feedback_strategy import FeedbackState
from rlhf_core.loop import Progress
from rlhf_core.policies import PolicyState
from rlhf_core.round_metrics import ROUND_COUNTS
from rlhf_core.store import Ref, pack
from rlhf_core.threads import limited
from rlhf_core.types import Metrics, RolloutRewards, Rollouts
from tasks import progress as events
from tasks import tables
from tasks.runs.run import Run
from tasks.stage import StageContext
from tasks.tracking import registry
from tasks.tracking.logging import log_files, log_labels, log_metrics
from tasks.tracking.records import set_tags

GUARD_TAG = "rlhf.guard"
ENDED_TAG = "rlhf.asking_ended"


class Published(NamedTuple):
    """What the last task of a run found out."""

    asking_ended: str | None
    """Why fewer labels were asked for than the budget allows; None where they were not."""
    work_seconds: float
    """Seconds inside the core."""


@task(
    name="track", task_run_name="track {round}", cache_policy=NO_CACHE, retries=3,
    retry_delay_seconds=2,
)  # fmt: skip
def track(run: Run, round: int, metrics: Metrics, alarm: str | None, at_ms: int) -> None:
    """Log a round's metrics at its environment step.

    Args:
        run: the run.
        round: from 0.
        metrics: of the round, running totals included.
        alarm: why the guard was alarmed; None where it was not.
        at_ms: when the round ended.
    """
    logged = {name: value for name, value in metrics.items() if name not in ROUND_COUNTS}
    step = int(metrics["policy/steps"])
    log_metrics(run.tracker, run.run_id, logged, step, at_ms)
    if alarm is not None:
        text = f"{run.experiment.guard.reaction}: {alarm}"
        set_tags(run.tracker, run.run_id, {f"{GUARD_TAG}.{round + 1:04d}": text})
    labels = int(metrics["feedback/labels_total"])
    true_return = metrics.get("eval/true_return_iqm")
    events.send(events.RoundDone(run.run_id, round, step, labels, true_return))


@task(name="publish", cache_policy=NO_CACHE)
def publish(run: Run, last: Progress[Ref], opened_ms: int) -> Published:
    """Log plots, film, labels, reward and policy of a finished run. Repeating it adds nothing.

    Args:
        run: the run.
        last: where it stands after its last round.
        opened_ms: when its first stage was done.
    """
    history = last.history
    context = StageContext(run, len(history), f"{run.run_id}/publish")
    events.send(events.Stage(run.run_id, "publish", len(history) - 1))
    feedback = context.load(last.feedback, FeedbackState)
    policy = context.load(last.policy, PolicyState)
    with limited(run.experiment.threads):
        files = context.time(_pictures, context, last, feedback, policy)
    if feedback.evidence is not None:
        nothing: dict[str, Any] = dict.fromkeys(feedback.LEARNED)
        unfitted = replace(feedback, **nothing)
        digest = context.store.put(unfitted)
        log_labels(run.tracker, run.run_id, digest, tables.profile(feedback))
        files["labels/evidence.safetensors"] = pack(unfitted)
        files |= tables.labels(feedback)
        batches = [(round, context.load(ref, Answers)) for round, ref in last.answers]
        files["labels/judgements.csv"] = tables.judgements(batches, feedback.evidence)
    if feedback.demonstrations is not None:
        # As `Agent.record` writes them, so that another run can learn from the same.
        demonstrations = Rollouts(tuple(feedback.demonstrations.trajectories()))
        files["labels/demonstrations.safetensors"] = pack(demonstrations)
    files |= _reward_files(run.experiment, feedback)
    log_files(run.tracker, run.run_id, files)
    registry.register(run.tracker, run.run_id, run.experiment, policy, history[-1])
    spent = {name: value for name, value in last.opening.items() if name.startswith("time/")}
    seconds = {"time/report": context.seconds, **spent}
    step = int(history[-1]["policy/steps"])
    log_metrics(run.tracker, run.run_id, seconds, step, opened_ms)
    create_markdown_artifact(
        _summary(run, history), key="summary", description="Outcome of the run"
    )
    ended = run.experiment.plan.ended(feedback, len(history))
    if ended is not None:
        set_tags(run.tracker, run.run_id, {ENDED_TAG: ended})
    return Published(ended, context.seconds)


def _summary(run: Run, history: Sequence[Metrics]) -> str:
    """What Prefect's page shows of the run."""
    rows = [
        f"| {int(m['policy/steps'])} | {int(m['feedback/labels_total'])} | {_true_return(m)} |"
        for m in history
    ]
    head = "| environment steps | labels | true return (IQM) |\n|---|---|---|"
    return f"MLflow run `{run.run_id}`\n\n{head}\n" + "\n".join(rows)


def _true_return(metrics: Metrics) -> str:
    iqm = metrics.get("eval/true_return_iqm")
    return "unknown" if iqm is None else f"{iqm:.1f}"


def _pictures(
    context: StageContext, last: Progress[Ref], feedback: FeedbackState, policy: PolicyState
) -> dict[str, bytes]:
    experiment, history, files = context.run.experiment, last.history, dict[str, bytes]()
    steps = [int(m["policy/steps"]) for m in history]
    if "eval/true_return_iqm" in last.metrics:
        returns = [m["eval/true_return_iqm"] for m in history]
        labels = [int(m["feedback/labels_total"]) for m in history]
        curve = plots.learning_curve(steps, returns, labels, experiment.name)
        files["plots/learning_curve.png"] = curve
        files["plots/proxy_and_true.png"] = plots.proxy_and_true(
            steps,
            [m.get("proxy/gain", 0.0) for m in history],
            returns,
            [m["guard/alarm"] > 0 for m in history],
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
    rng = seeding.generator(experiment.seed, 0, "film")
    spaces, deterministic = experiment.environment.spaces(), experiment.evaluation.deterministic
    episode, actions = seeding.integer(rng), seeding.integer(rng)
    act = experiment.optimiser.act(policy, spaces, deterministic, actions)
    film = video.film(experiment.environment, act, episode)
    if film is not None:
        files["video/policy.gif"] = film
    return files


def _reward_files(experiment: Experiment, feedback: FeedbackState) -> dict[str, bytes]:
    """What was learned, and the settings that it was learned by."""
    learned = {name: getattr(feedback, name) for name in feedback.LEARNED}
    files = {
        f"reward_model/{name}.safetensors": pack(value)
        for name, value in learned.items()
        if value is not None
    }
    if files:
        config = experiment.feedback.model_dump(mode="json")
        files["reward_model/feedback.json"] = json.dumps(config, indent=2).encode()
    return files
