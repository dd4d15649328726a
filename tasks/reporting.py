"""Logging a round, and at the end the whole run."""

import json
import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import httpx
from prefect import runtime, task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE
from prefect.exceptions import PrefectHTTPStatusError
from prefect.settings import PREFECT_CLIENT_MAX_RETRIES, temporary_settings

from rlhf_core.answers import Answers
from rlhf_core.experiment import Experiment
from rlhf_core.feedback_strategy import FeedbackState
from rlhf_core.loop import Progress
from rlhf_core.packing import pack
from rlhf_core.policies import PolicyState
from rlhf_core.round_metrics import ROUND_COUNTS
from rlhf_core.store import Ref
from rlhf_core.threads import limited
from rlhf_core.types import Metrics, Rollouts
from tasks import pictures, tables
from tasks import progress as events
from tasks.addresses import masked
from tasks.final import final_metrics
from tasks.runs.cleaning import LABELS
from tasks.runs.run import Run
from tasks.stage import StageContext
from tasks.tracking import registry
from tasks.tracking.logging import log_files, log_labels, log_metrics
from tasks.tracking.records import set_tags
from tasks.tracking.tags import ENDED_TAG, GUARD_TAG


class Published(NamedTuple):
    """The results of the last task of a run."""

    asking_ended: str | None
    """Why fewer labels were asked for than the budget allows; None where they were not."""
    model: str
    """Address of the policy: of a version of the registered model, or of the logged one alone."""
    notes: Sequence[str]
    """What could not be published, and why."""
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
def publish(
    run: Run, last: Progress[Ref], opened_ms: int, reference: float | None = None
) -> Published:
    """Log plots, film, labels, reward and policy of a finished run. Repeating it adds nothing.

    Args:
        run: the run.
        last: where it stands after its last round.
        opened_ms: when its first stage was done.
        reference: true return after training on the true reward, to compare with.
    """
    history = last.history
    context = StageContext(run, len(history), f"{run.run_id}/publish")
    events.send(events.Stage(run.run_id, "publish", len(history) - 1))
    feedback = context.load(last.feedback, FeedbackState)
    policy = context.load(last.policy, PolicyState)
    with limited(run.experiment.threads):
        files, notes = context.time(pictures.draw, context, last, feedback, policy, reference)
    if feedback.evidence is not None:
        nothing: dict[str, Any] = dict.fromkeys(feedback.LEARNED)
        unfitted = replace(feedback, **nothing)
        digest = context.store.put(unfitted)
        context.store.remember(f"{run.run_id}/{LABELS}", {"refs": {"labels": digest}})
        log_labels(run.tracker, run.run_id, digest, tables.profile(feedback))
        files["labels/evidence.safetensors"] = pack(unfitted)
        files |= tables.labels(feedback)
        batches = [(batch.round, context.load(batch.answers, Answers)) for batch in last.batches]
        files["labels/judgements.csv"] = tables.judgements(batches, feedback.evidence)
    if feedback.demonstrations is not None:
        # As `Agent.record` writes them, so that another run can learn from the same.
        demonstrations = Rollouts(tuple(feedback.demonstrations.trajectories()))
        files["labels/demonstrations.safetensors"] = pack(demonstrations)
    files |= _reward_files(run.experiment, feedback)
    log_files(run.tracker, run.run_id, files)
    model = registry.register(
        run.tracker, run.run_id, run.experiment, policy, history[-1], run.cell
    )
    spent = {name: value for name, value in last.opening.items() if name.startswith("time/")}
    seconds = {"time/report": context.seconds, **spent}
    step = int(history[-1]["policy/steps"])
    log_metrics(run.tracker, run.run_id, {**seconds, **final_metrics(last)}, step, opened_ms)
    once = ("eval/", "expert/")
    first = {name: value for name, value in last.opening.items() if name.startswith(once)}
    log_metrics(run.tracker, run.run_id, first, 0, opened_ms)
    _show_summary(run, history)
    ended = run.experiment.plan.ended(feedback, len(history))
    if ended is not None:
        set_tags(run.tracker, run.run_id, {ENDED_TAG: ended})
    return Published(ended, model, notes, context.seconds)


def _show_summary(run: Run, history: Sequence[Metrics]) -> None:
    """Put the outcome on Prefect's page. A run whose Prefect server is lost is published too."""
    if runtime.flow_run.id is None:
        return  # A run of a comparison: the page shows the comparison.
    try:
        with temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 1}):
            create_markdown_artifact(
                _summary(run, history), key="summary", description="Outcome of the run"
            )
    except (httpx.TransportError, PrefectHTTPStatusError) as error:
        logging.getLogger(__name__).warning(
            "Prefect's page lacks the summary of run %s: %s", run.run_id, masked(str(error))
        )


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
