"""The main flow: learn a policy from feedback, in rounds."""

import time
from typing import Any

from prefect import Flow, flow, runtime
from prefect.client.schemas.objects import FlowRun, State

from flows.reconcile import close_abandoned
from rlhf_core.experiment import Experiment
from rlhf_core.store import Ref
from rlhf_core.types import Metrics
from tasks import lease, tracking
from tasks.evaluation import evaluate
from tasks.feedback import answer, ask
from tasks.home import Home
from tasks.policies import optimise
from tasks.reporting import publish, track
from tasks.rewards import fit
from tasks.rollouts import collect
from tasks.stage import Run, worked_seconds


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
    policy, feedback, rollouts, rewards = (
        first[name] for name in ("policy", "feedback", "rollouts", "rewards")
    )
    history: list[Metrics] = []
    answers: list[Ref] = []
    for round in range(experiment.budget.rounds):
        asked = ask(run, round, feedback=feedback, rollouts=rollouts)
        answered = answer(run, round, request=asked["request"], rewards=rewards)
        fitted = fit(run, round, feedback=feedback, request=asked["request"], **answered.refs)
        feedback = fitted["feedback"]
        improved = optimise(run, round, policy=policy, feedback=feedback)
        policy, rollouts, rewards = (improved[n] for n in ("policy", "rollouts", "rewards"))
        evaluated = evaluate(run, round, feedback=feedback, **improved.refs)
        answers.append(answered["annotations"])
        history.append(track(run, round, [asked, answered, fitted, improved, evaluated], history))
    publish(run, history, first, answers, {"feedback": feedback, **improved.refs})
    seconds = time.perf_counter() - began
    tracking.finish_run(home, run_id, {"time/orchestration": seconds - worked_seconds(run_id)})

    final = history[-1]
    return {
        "run_id": run_id,
        "environment": experiment.environment.id,
        "strategy": experiment.feedback.kind,
        "optimiser": experiment.optimiser.kind,
        "labels": int(final["feedback/labels_total"]),
        "env_steps": int(final["policy/steps"]),
        "true_return_mean": final["eval/true_return_mean"],
        "true_return_iqm": final["eval/true_return_iqm"],
        "seconds": float(f"{seconds:.1f}"),
    }
