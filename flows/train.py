"""The main flow: learn a policy from feedback, in rounds."""

import time
from typing import Any

from prefect import Flow, flow, runtime
from prefect.client.schemas.objects import FlowRun, State

from rlhf_core.experiment import Experiment
from rlhf_core.guard import Verdict
from rlhf_core.store import Ref
from rlhf_core.types import Metrics
from tasks.evaluation import evaluate
from tasks.feedback import answer, ask, prepare
from tasks.home import Home
from tasks.policies import optimise, roll_back
from tasks.reporting import publish, track
from tasks.rewards import fit
from tasks.rollouts import collect
from tasks.runs import lease
from tasks.runs.reconcile import close_abandoned
from tasks.stage import Outcome, Run, merged, worked_seconds
from tasks.tracking import store as tracking


def learn(
    run: Run, round: int, now: dict[str, Ref], answers: list[tuple[int, Ref]], alarmed: bool = False
) -> list[Outcome]:
    """Ask, be answered, fit: brings the references in `now` up to date."""
    rollouts, rewards = now["rollouts"], now["rewards"]
    asked = ask(run, round, feedback=now["feedback"], rollouts=rollouts, alarmed=alarmed)
    answered = answer(
        run, round, annotator=now["annotator"], rollouts=rollouts, rewards=rewards,
        alarmed=alarmed, **asked.refs,
    )  # fmt: skip
    given = answered["answers"]
    fitted = fit(run, round, feedback=now["feedback"], answers=given, alarmed=alarmed, **asked.refs)
    now |= {"annotator": answered["annotator"], **fitted.refs}
    answers.append((round, given))
    return [asked, answered, fitted]


def close(flow: Flow[..., Any], flow_run: FlowRun, state: State[Any]) -> None:
    """Close the MLflow run of a flow run that did not finish, with the reason; let go of it."""
    home, flow_run_id = Home(), str(flow_run.id)
    run_id = tracking.find(home, flow_run_id)
    if run_id is not None and not state.is_completed():
        status: tracking.Status = "FAILED" if state.is_failed() else "KILLED"
        tracking.close_run(home, run_id, status, state.message or state.name)
    lease.release(home, flow_run_id)


@flow(
    name="train",
    flow_run_name="{experiment.name}",
    on_completion=[close],
    on_failure=[close],
    on_crashed=[close],
    on_cancellation=[close],
    persist_result=False,
)
def train(experiment: Experiment, run_id: str | None = None) -> dict[str, Any]:
    """Learn a policy from feedback, in rounds of ask, answer, fit, optimise and evaluate.

    Args:
        experiment: everything about the run.
        run_id: an interrupted MLflow run to go on with; finished stages are not repeated.

    Returns:
        The summary of the run, as `rlhf train --json` prints it.
    """
    began = time.perf_counter()
    flow_run_id = str(runtime.flow_run.id)
    home = Home()
    close_abandoned(home)
    run_id = tracking.open_run(home, experiment, run_id, flow_run_id)
    run = Run(run_id, experiment, str(home.path))

    first = collect(run, 0)
    prepared = prepare(run, 0)
    now = {**first.refs, **prepared.refs}
    start = {"first": now["rollouts"], "first_rewards": now["rewards"]}
    trusted = now["policy"]
    history: list[Metrics] = []
    answers: list[tuple[int, Ref]] = []
    for round in range(experiment.budget.rounds):
        done = learn(run, round, now, answers)
        verdict = experiment.guard.judge(history, merged(done))
        if verdict is Verdict.ASK_MORE:
            done += learn(run, round, now, answers, alarmed=True)
        if verdict in (Verdict.ROLL_BACK, Verdict.STOP):
            done.append(roll_back(run, round, policy=now["policy"], trusted=trusted))
            now |= done[-1].refs
        if verdict is not Verdict.STOP:
            trusted = now["policy"]
            done.append(optimise(run, round, policy=trusted, feedback=now["feedback"]))
            now |= done[-1].refs
        seen = {name: now[name] for name in ("policy", "feedback", "rollouts", "rewards")}
        done.append(evaluate(run, round, **seen, **start))
        history.append(track(run, round, done, history, verdict))
        if verdict is Verdict.STOP:
            break
    ended = publish(run, history, [first, prepared], answers, now | start)
    seconds = time.perf_counter() - began
    tracking.finish_run(home, run_id, {"time/orchestration": seconds - worked_seconds(run_id)})

    final = history[-1]
    return {
        "run_id": run_id,
        "environment": experiment.environment.id,
        "strategy": experiment.feedback.kind,
        "optimiser": experiment.optimiser.kind,
        "labels": int(final["feedback/labels_total"]),
        "asking_ended": ended,
        "cost": float(f"{final['feedback/cost_total']:.9g}"),
        "alarms": int(sum(metrics["guard/alarm"] for metrics in history)),
        "env_steps": int(final["policy/steps"]),
        "true_return_mean": final["eval/true_return_mean"],
        "true_return_iqm": final["eval/true_return_iqm"],
        "seconds": float(f"{seconds:.1f}"),
    }
