"""Writing down a round, and at the end the whole run."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from prefect import task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE

from rlhf_core import seeding, stages
from rlhf_core.answers import Answers
from rlhf_core.evaluation import plots, video
from rlhf_core.experiment import Experiment
from rlhf_core.feedback_strategy import FeedbackState
from rlhf_core.guard import Verdict
from rlhf_core.policies import PolicyState
from rlhf_core.store import Ref, pack
from rlhf_core.threads import limited
from rlhf_core.types import Metrics, RolloutRewards, Rollouts
from tasks import progress, tables
from tasks.home import Home
from tasks.stage import Outcome, Run, Work, merged
from tasks.tracking import registry
from tasks.tracking import store as tracking

TOTALS = {
    "feedback/queries": "feedback/queries_total",
    "feedback/labels": "feedback/labels_total",
    "feedback/judgements": "feedback/judgements_total",
    "feedback/cost": "feedback/cost_total",
    "feedback/seconds": "feedback/seconds_total",
}
"""What is counted a round, and the running total that it is logged as."""


@task(
    name="track", task_run_name="track {round}", cache_policy=NO_CACHE, retries=3,
    retry_delay_seconds=2,
)  # fmt: skip
def track(
    run: Run,
    round: int,
    outcomes: Sequence[Outcome],
    before: Sequence[Metrics],
    verdict: Verdict,
) -> Metrics:
    """Log a round's metrics at its environment step; returns them with the running totals."""
    metrics = {**merged(outcomes), **verdict.metrics}
    for counted, total in TOTALS.items():
        metrics[total] = metrics.pop(counted) + (before[-1][total] if before else 0.0)
    step = int(metrics["policy/steps"])
    home = Home(run.home)
    tracking.log_metrics(home, run.run_id, metrics, step, outcomes[-1].finished_ms)
    if verdict is not Verdict.FINE:
        accuracy = metrics["reward/fresh_accuracy"]
        said = f"round {round + 1}: {verdict}, accuracy on fresh clips fell to {accuracy:.2f}"
        tracking.note_alarm(home, run.run_id, round, said)
    labels = int(metrics["feedback/labels_total"])
    progress.tell(progress.RoundDone(round, step, labels, metrics["eval/true_return_iqm"]))
    return metrics


@task(name="publish", cache_policy=NO_CACHE)
def publish(
    run: Run,
    history: Sequence[Metrics],
    opening: Sequence[Outcome],
    answers: Sequence[tuple[int, Ref]],
    last: Mapping[str, Ref],
) -> str | None:
    """Log plots, film, labels, reward and policy of a finished run. Repeating it adds nothing.

    Args:
        run: the run.
        history: the metrics of each round.
        opening: what `collect` and `prepare` gave.
        answers: round and reference of each batch of answers.
        last: references of the last round's feedback, policy, rollouts and rewards, and of the
            first rollouts and rewards.

    Returns:
        Why fewer labels were asked for than the budget allows; None where they were not.
    """
    home, work = Home(run.home), Work(run, len(history), f"{run.run_id}/publish")
    progress.tell(progress.Stage("publish", len(history) - 1))
    feedback = work.load(last["feedback"], FeedbackState)
    policy = work.load(last["policy"], PolicyState)
    with limited(run.experiment.threads):
        files = work.time(_pictures, work, history, feedback, policy, last)
    if feedback.evidence is not None or feedback.demonstrations is not None:
        nothing: dict[str, Any] = dict.fromkeys(feedback.LEARNED)
        told = replace(feedback, **nothing)
        digest = work.store.put(told)
        tracking.log_labels(home, run.run_id, digest, tables.profile(feedback))
        files["labels/evidence.safetensors"] = pack(told)
        files |= tables.labels(feedback)
    if feedback.evidence is not None:
        files["labels/judgements.csv"] = tables.judgements(
            [(round, work.load(ref, Answers)) for round, ref in answers], feedback.evidence
        )
    if feedback.demonstrations is not None:
        # As `Agent.record` writes them, so that another run can be shown the same.
        shown = Rollouts(tuple(feedback.demonstrations.trajectories()))
        files["labels/demonstrations.safetensors"] = pack(shown)
    files |= _reward_files(run.experiment, feedback)
    tracking.log_files(home, run.run_id, files)
    registry.register(home, run.run_id, run.experiment, policy, history[-1])
    spent = {name: value for name, value in merged(opening).items() if name.startswith("time/")}
    seconds = {"time/report": work.seconds, **spent}
    step = int(history[-1]["policy/steps"])
    tracking.log_metrics(home, run.run_id, seconds, step, opening[0].finished_ms)
    create_markdown_artifact(
        _summary(run, history), key="summary", description="Outcome of the run"
    )
    ended = run.experiment.asking_ended(feedback, len(history))
    if ended is not None:
        tracking.note_end_of_asking(home, run.run_id, ended)
    return ended


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
    rollouts = [work.load(last[name], Rollouts) for name in ("rollouts", "first")]
    rewards = [work.load(last[name], RolloutRewards) for name in ("rewards", "first_rewards")]
    comparison, _ = stages.compare_rewards(
        experiment, len(history) - 1, feedback, rollouts[0], rewards[0], rollouts[1], rewards[1]
    )
    if comparison is not None:
        files["plots/reward_diagnostic.png"] = plots.reward_against_truth(
            comparison.learned, comparison.true, "reward on the newest rollouts"
        )
    files["plots/proxy_and_true.png"] = plots.proxy_and_true(
        [int(m["policy/steps"]) for m in history],
        [m.get("proxy/gain", 0.0) for m in history],
        [m["eval/true_return_iqm"] for m in history],
        [m["guard/alarm"] > 0 for m in history],
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
