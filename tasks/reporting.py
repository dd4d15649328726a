"""Writing down a round, and at the end the whole run."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from prefect import task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE

from rlhf_core import seeding, stages
from rlhf_core.evaluation import plots, video
from rlhf_core.experiment import Experiment
from rlhf_core.feedback import FeedbackState
from rlhf_core.optimisers import PolicyState
from rlhf_core.rewards.model import EnsembleState
from rlhf_core.store import Ref, pack
from rlhf_core.threads import limited
from rlhf_core.evidence import Annotations, Choice, Preferences
from rlhf_core.types import Metrics, RolloutRewards, Rollouts
from tasks import progress, registry, tracking
from tasks.home import Home
from tasks.stage import Outcome, Run, Work

TOTALS = {
    "feedback/queries": "feedback/queries_total",
    "feedback/labels": "feedback/labels_total",
    "feedback/cost": "feedback/cost_total",
}
"""What is counted a round, and the running total that it is logged as."""


@task(
    name="track", task_run_name="track {round}", cache_policy=NO_CACHE, retries=3,
    retry_delay_seconds=2,
)  # fmt: skip
def track(run: Run, round: int, outcomes: Sequence[Outcome], before: Sequence[Metrics]) -> Metrics:
    """Log a round's metrics at its environment step; returns them with the running totals."""
    metrics: dict[str, float] = {}
    for outcome in outcomes:
        metrics |= outcome.metrics
    for counted, total in TOTALS.items():
        metrics[total] = metrics.pop(counted) + (before[-1][total] if before else 0.0)
    step = int(metrics["policy/steps"])
    tracking.log_metrics(Home(run.home), run.run_id, metrics, step, outcomes[-1].finished_ms)
    labels = int(metrics["feedback/labels_total"])
    progress.tell(progress.RoundDone(round, step, labels, metrics["eval/true_return_iqm"]))
    return metrics


@task(name="publish", cache_policy=NO_CACHE)
def publish(
    run: Run,
    history: Sequence[Metrics],
    first: Outcome,
    answers: Sequence[Ref],
    last: Mapping[str, Ref],
) -> None:
    """Log plots, film, labels, reward and policy of a finished run. Repeating it adds nothing.

    Args:
        run: the run.
        history: the metrics of each round.
        first: what `collect` gave.
        answers: references of each round's annotations.
        last: references of the last round's feedback, policy, rollouts and rewards.
    """
    home, work = Home(run.home), Work(run, len(history))
    progress.tell(progress.Stage("publish", len(history) - 1))
    feedback = work.load(last["feedback"], FeedbackState)
    policy = work.load(last["policy"], PolicyState)
    with limited(run.experiment.threads):
        files = work.time(_pictures, work, history, feedback, policy, last)
    if feedback.preferences is not None and len(feedback.preferences):
        files["labels/labels.csv"] = _labels_table(feedback.preferences)
        evidence = replace(feedback, ensemble=None)
        files["labels/evidence.safetensors"] = pack(evidence)
        digest = work.store.put(evidence)
        tracking.log_labels(home, run.run_id, digest, _profile(feedback.preferences))
        files["labels/judgements.csv"] = _judgements_table(
            [work.load(ref, Annotations) for ref in answers]
        )
    if feedback.ensemble is not None:
        files |= _reward_files(run.experiment, feedback.ensemble)
    tracking.log_files(home, run.run_id, files)
    registry.register(home, run.run_id, run.experiment, policy, history[-1])
    seconds = {"time/report": work.seconds, "time/collect": first.metrics["time/collect"]}
    step = int(history[-1]["policy/steps"])
    tracking.log_metrics(home, run.run_id, seconds, step, first.finished_ms)
    create_markdown_artifact(
        _summary(run, history), key="summary", description="Outcome of the run"
    )


def _summary(run: Run, history: Sequence[Metrics]) -> str:
    """What Prefect's page shows of the run."""
    rows = [
        f"| {int(m['policy/steps'])} | {int(m['feedback/labels_total'])} "
        f"| {m['eval/true_return_iqm']:.1f} |"
        for m in history
    ]
    head = "| environment steps | labels | true return (IQM) |\n|---|---|---|"
    return f"MLflow run `{run.run_id}`\n\n{head}\n" + "\n".join(rows)


def _pictures(
    work: Work,
    history: Sequence[Metrics],
    feedback: FeedbackState,
    policy: PolicyState,
    last: Mapping[str, Ref],
) -> dict[str, bytes]:
    experiment = work.run.experiment
    files = {
        "plots/learning_curve.png": plots.learning_curve(
            [int(m["policy/steps"]) for m in history],
            [m["eval/true_return_iqm"] for m in history],
            [int(m["feedback/labels_total"]) for m in history],
            experiment.name,
        )
    }
    rollouts = work.load(last["rollouts"], Rollouts)
    rewards = work.load(last["rewards"], RolloutRewards)
    comparison, _ = stages.compare_rewards(
        experiment, len(history) - 1, feedback, rollouts, rewards
    )
    if comparison is not None:
        files["plots/reward_diagnostic.png"] = plots.reward_against_truth(
            comparison.learned, comparison.true, "reward on the newest rollouts"
        )
    rng = seeding.generator(experiment.seed, 0, "film")
    act = experiment.optimiser.act(policy, experiment.environment.spaces(), True)
    film = video.film(experiment.environment, act, seeding.integer(rng))
    if film is not None:
        files["video/policy.gif"] = film
    return files


def _labels_table(preferences: Preferences) -> bytes:
    """One line a label: the positions of its segments in evidence.safetensors, and what it says.

    It is what the fit was told; a control that changes labels shows the changed ones.
    """
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["left_segment", "right_segment", "probability_right", "weight"])
    columns = (preferences.pair[:, 0], preferences.pair[:, 1])
    table.writerows(
        zip(*(c.tolist() for c in (*columns, preferences.target, preferences.weight)), strict=True)
    )
    return text.getvalue().encode()


def _judgements_table(rounds: Sequence[Annotations]) -> bytes:
    """One line a judgement, as it was given."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["round", "query", "worker", "choice", "seconds", "cost"])
    for index, given in enumerate(rounds):
        names = [Choice(choice).name.lower() for choice in given.choice]
        columns = (given.query.tolist(), given.worker.tolist(), names)
        prices = (given.seconds.tolist(), given.cost.tolist())
        table.writerows((index, *row) for row in zip(*columns, *prices, strict=True))
    return text.getvalue().encode()


def _profile(preferences: Preferences) -> dict[str, float]:
    return {
        "labels": len(preferences),
        "ties": int((preferences.target == 0.5).sum()),
        "right_preferred": float(np.mean(preferences.target > 0.5)),
    }


def _reward_files(experiment: Experiment, ensemble: EnsembleState) -> dict[str, bytes]:
    config = experiment.feedback.model_dump(mode="json")
    return {
        "reward_model/ensemble.safetensors": pack(ensemble),
        "reward_model/feedback.json": json.dumps(config, indent=2).encode(),
    }
