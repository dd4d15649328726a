"""The main flow: learn a policy from feedback, in rounds."""

import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from prefect import Flow, flow, runtime
from prefect.client.schemas.objects import FlowRun, State

from flows.experiments import references
from flows.experiments.naming import cell_of
from flows.experiments.references import Reference
from flows.experiments.resolving import GivenExperiment, SeedPolicy, experiment_of
from flows.flow_run import rename, schedule_name, scheduled_tags, scheduled_time
from flows.notices import tell_failed, tell_finished
from flows.services.prefect_page import lasting_page
from flows.services.ready import ready
from flows.waiting import Waiter, check_reachable, leave_waiting
from rlhf_core.driver import Start
from rlhf_core.errors import AnswersPendingError
from rlhf_core.experiment import Experiment
from rlhf_core.loop import Progress, ended, play
from rlhf_core.store import Ref
from rlhf_core.sweep.curves import Curve, falls_short
from tasks import live, progress
from tasks.beginning import ALL, transfer
from tasks.driver import TaskDriver, called, submitted
from tasks.failures import recorded
from tasks.final import final_metrics
from tasks.home import Home
from tasks.opening import poor_expert
from tasks.people import asks_people, close_campaign
from tasks.reporting import Published, publish, track
from tasks.runs import lifecycle, outcome
from tasks.runs.run import Run
from tasks.runs.states import Event
from tasks.tracking.store import tracker_of
from tasks.tracking.tags import FROM_TAG, TAKE_TAG


def close(flow: Flow[..., Any], flow_run: FlowRun, state: State[Any]) -> None:
    """Close the run of a flow run that did not finish, with the reason; let go of it, and tell."""
    event = Event.FAIL if state.is_failed() else Event.CANCEL
    reason = state.message or state.name or ""
    home = Home()
    lifecycle.close_flow_run(
        home, str(flow_run.id), None if state.is_completed() else event, reason
    )
    if state.is_failed() or state.is_crashed():
        tell_failed(home, flow_run, state, flow.name)


@flow(
    name="train",
    on_completion=[close],
    on_failure=[close],
    on_crashed=[close],
    on_cancellation=[close],
    persist_result=False,
)
def train(
    experiment: GivenExperiment = "pendulum-preference",
    overrides: dict[str, Any] | None = None,
    seed_policy: SeedPolicy = "fixed",
    run_id: str | None = None,
    group: str | None = None,
    parent: str | None = None,
    submit: bool = False,
    cell: str | None = None,
    take_from: str | None = None,
    take: str | None = None,
) -> dict[str, Any]:
    """Learn a policy from feedback, in rounds of ask, answer, fit, optimise and evaluate.

    A retry of a flow run goes on with its run, as that was begun; where it is finished, its summary
    is returned again.

    Args:
        experiment: a preset's name, the path of a YAML file, or an experiment written out.
        overrides: values by the path of the field, such as {"budget.labels": 50, "seed": 1}.
        seed_policy: `fixed` plays the seed as it is written, `fresh` one of the scheduled time.
        run_id: an interrupted MLflow run to go on with; finished stages are not repeated.
        group: names runs that belong together.
        parent: the MLflow run that started this one.
        submit: submit stages to the flow's task runner, in place of running them here.
        cell: names what the run has in common with those of other seeds; None: `cell_of` does.
        take_from: a run, as RUN_ID or RUN_ID@ROUND, whose policy, reward and labels at the end of
            that round this one begins with; None begins with nothing.
        take: what it takes over: some of policy, reward and labels, with commas between them; None
            takes all.

    Returns:
        The summary of the run, as `rlhf train --json` prints it. Where people have not answered
        yet, `waiting` says for what, and the run can be resumed.
    """
    began = time.perf_counter()
    home = Home()
    ready(home)
    lifecycle.close_abandoned(home)
    flow_run_id = str(runtime.flow_run.id)
    if not isinstance(experiment, Experiment):
        run_id = run_id or lifecycle.find(tracker_of(home), flow_run_id)
        ended = None if run_id is None else outcome.look_up(home, tracker_of(home), run_id)
        if ended is not None:
            return dict(ended.summary)
    if run_id is not None and not isinstance(experiment, Experiment):
        chosen = lifecycle.resumable(home, run_id)
    else:
        chosen = experiment_of(experiment, overrides or {}, seed_policy, scheduled_time())
    check_reachable(chosen)
    if run_id is not None:
        tags = lifecycle.recorded_tags(home, run_id)
        take_from, take = tags.get(FROM_TAG), tags.get(TAKE_TAG)
    start, lineage = None, dict[str, str]()
    if take_from is not None:
        beginning, lineage = transfer(home, chosen, take_from, take or ALL)
        start = beginning.stored(home.store)
    rename(f"{chosen.name} {chosen.feedback.kind} s{chosen.seed}")
    run = lifecycle.open_run(
        home, chosen, run_id, flow_run_id, group, parent,
        cell=cell or cell_of(chosen), prefect_page=lasting_page(),
        more_tags={**scheduled_tags(seed_policy), **lineage}, anew=start is None,
    )  # fmt: skip
    with recorded(run), live.published(home, live.of_run(run)):
        driver = TaskDriver(run, submitted if submit else called)
        summary = play_run(driver, run, began, start, Waiter(home, run, "train").wait)
    leave_waiting(home, summary)
    if "waiting" not in summary:
        tell_finished(home, "train", summary, schedule_name())
    return summary


def play_run(
    driver: TaskDriver,
    run: Run,
    began: float,
    start: Start[Ref] | None = None,
    wait: Callable[[AnswersPendingError], bool] = lambda pending: False,
    bar: Curve = (),
) -> dict[str, Any]:
    """Play an open run to its end and finish it; returns its summary.

    Where it falls short of a bar it is given up: `given_up` says why, and `curve` how far it came.

    Args:
        driver: carries out its stages.
        run: what is worked on.
        began: when the work on it began (`time.perf_counter`).
        start: what to take over from another run.
        wait: called where people have not answered: whether the run can be entered again now.
        bar: what the true return must reach before the end, as `rlhf_core.sweep.curves.bar` returns
            it; empty: nothing.
    """
    last: Progress[Ref] | None = None
    while last is None or not ended(run.experiment, last):
        try:
            for progressed in play(run.experiment, driver, last or start):
                last = progressed
                alarm = last.alarms[-1] if last.metrics["guard/alarm"] else None
                driver.carry_out(
                    track, run, last.round - 1, last.metrics, alarm, driver.finished_ms
                )  # fmt: skip
                short = falls_short(_curve(last), bar) if bar else None
                if short is not None and not ended(run.experiment, last):
                    lifecycle.move(run.tracker, run.run_id, Event.CANCEL, short)
                    return {"run_id": run.run_id, "given_up": short, "curve": _curve(last)}
        except AnswersPendingError as pending:
            if not wait(pending):
                lifecycle.mark_waiting(run, str(pending))
                return {"run_id": run.run_id, "waiting": str(pending)}
    assert last is not None, "an experiment has at least one round"
    reference = references.of(run.experiment)
    mark = reference.iqm if reference else None
    published = driver.carry_out(publish, run, last, driver.opened_ms, mark)
    seconds = time.perf_counter() - began
    work = driver.work_seconds + published.work_seconds
    summary = _summary(run, last, published, reference, seconds)
    # Stored before the run is finished: whoever resumes a run that is finished finds it.
    outcome.store(run, summary, finished=False)
    logged = {"time/orchestration": seconds - work, "final/seconds": seconds}
    lifecycle.finish(run, logged, final_metrics(last), int(last.metrics["policy/steps"]))
    outcome.store(run, summary, finished=True)
    if asks_people(run.experiment):
        close_campaign(Home(), run.run_id)
    progress.send(progress.Finished(run.run_id, summary))
    return summary


def _curve(last: Progress[Ref]) -> list[tuple[int, float]]:
    """The true return after each round that was evaluated, by environment steps."""
    return [
        (int(metrics["policy/steps"]), metrics["eval/true_return_iqm"])
        for metrics in last.history
        if "eval/true_return_iqm" in metrics
    ]


def _summary(
    run: Run, last: Progress[Ref], published: Published, reference: Reference | None, seconds: float
) -> dict[str, Any]:
    experiment, final = run.experiment, last.metrics
    poor = poor_expert(experiment, last.opening)
    return {
        "run_id": run.run_id,
        "environment": experiment.environment.id,
        "strategy": experiment.feedback.kind,
        "optimiser": experiment.optimiser.kind,
        "labels": int(final["feedback/labels_total"]),
        "asking_ended": published.asking_ended,
        "cost": float(f"{final['feedback/cost_total']:.9g}"),
        "alarms": list(last.alarms),
        "env_steps": int(final["policy/steps"]),
        "true_return_mean": final.get("eval/true_return_mean"),
        "true_return_iqm": final.get("eval/true_return_iqm"),
        "curve": _curve(last),
        "success_rate": final.get("eval/success_rate"),
        "first_return_iqm": last.opening.get("eval/first_return_iqm"),
        "expert_return_mean": last.opening.get("expert/true_return_mean"),
        "true_reward_reference": None if reference is None else asdict(reference),
        "heldout_accuracy": final.get("reward/heldout_accuracy"),
        "model": published.model,
        "notes": [*published.notes, *([] if poor is None else [poor])],
        "seconds": float(f"{seconds:.1f}"),
    }
