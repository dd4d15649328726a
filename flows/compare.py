"""The flow of a comparison: every cell with every seed, in worker processes, then the report."""

import queue
import time
import warnings
from collections import deque
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

from prefect import flow, runtime, task
from prefect.cache_policies import NO_CACHE
from prefect.futures import PrefectFuture

from flows.comparison import plan
from flows.comparison.plan import Trial
from flows.comparison.result import conclude
from flows.experiments.naming import cell_of
from flows.experiments.resolving import GivenMatrix, SeedPolicy, matrix_of
from flows.flow_run import rename, schedule_name, scheduled_tags, scheduled_time
from flows.notices import tell_finished
from flows.runners import Job, RunFailedError, Runner, WorkerLostError, chosen, opened
from flows.runners.processes import wait_for_orphans
from flows.services.prefect_page import lasting_page, page_of_this_flow_run
from flows.services.ready import ready
from flows.train import close
from rlhf_core.errors import UnusedFieldWarning
from rlhf_core.sweep.curves import Curve
from tasks import live, progress
from tasks.home import Home
from tasks.reasons import reason
from tasks.runs import comparisons, lifecycle
from tasks.runs.comparisons import Comparison
from tasks.runs.states import Event
from tasks.tracking import records
from tasks.tracking.store import tracker_of


@dataclass
class Outcomes:
    """What became of the runs of a comparison."""

    finished: dict[tuple[str, int], dict[str, Any]]
    """Summaries by cell and seed."""
    failed: dict[tuple[str, int], tuple[str, str | None]]
    """Reasons, and ids of the runs where there are."""


@task(name="cell", task_run_name="{trial.name}", cache_policy=NO_CACHE, persist_result=False)
def play_cell(
    trial: Trial, comparison: Comparison, runner: Runner, bar: Curve = ()
) -> dict[str, Any]:
    """Play a run of a comparison; returns its summary.

    Where the worker that plays it is lost, the run goes on in another one, once.

    Args:
        trial: the run.
        comparison: that it belongs to.
        runner: who plays it.
        bar: what its true return must reach before its end, as `flows.train.play_run` reads it.

    Raises:
        RunFailedError: it failed; the comparison goes on without it.
    """
    cell, seed = trial.cell.label, trial.seed

    def receive(event: Any) -> None:
        progress.send(progress.InCell(cell, seed, event))

    job = _job(trial, comparison, bar)
    try:
        try:
            summary = runner.play(job, receive)
        except WorkerLostError:
            summary = runner.play(job, receive)
    except RunFailedError as error:
        receive(progress.CellEnded(None, str(error)))
        raise
    given_up = summary.get("given_up")
    receive(progress.CellEnded(None if given_up else summary, given_up))
    return summary


def _job(trial: Trial, comparison: Comparison, bar: Curve) -> Job:
    experiment = trial.cell.of_seed(trial.seed)
    return Job(
        experiment=experiment.model_dump(mode="json", exclude_unset=True),
        cell=cell_of(experiment),
        group=comparison.name,
        parent=comparison.run_id,
        prefect_run=str(runtime.flow_run.id),
        prefect_page=lasting_page(),
        run_id=trial.run_id,
        owner=str(uuid4()),
        bar=bar,
    )


@flow(
    name="compare",
    on_completion=[close],
    on_failure=[close],
    on_crashed=[close],
    on_cancellation=[close],
    persist_result=False,
)
def compare(
    experiment: GivenMatrix = "pendulum-preference",
    overrides: dict[str, Any] | None = None,
    seed_policy: SeedPolicy = "fixed",
    workers: int | None = None,
    fail_fast: bool = False,
    runner: str = "processes",
) -> dict[str, Any]:
    """Play a matrix of experiments and say which cell won, by how much and how sure.

    Runs of the same content that are finished are not played again, and interrupted ones go on.

    Args:
        experiment: the path of a comparison's YAML file, or a comparison written out; or a preset
            or an experiment, of which several seeds are played.
        overrides: values for every cell by the path of the field, such as {"budget.labels": 50}.
        seed_policy: `fixed` plays the seeds as they are written; `fresh` those that follow one of
            the scheduled time, and the comparison is called by that time too.
        workers: runs that are played at the same time; None: one a core, or as many as the
            runner's cluster plays.
        fail_fast: play no further run once one has failed.
        runner: where runs are played, as `flows.runners.chosen` reads it.

    Returns:
        The result, as `rlhf compare --json` prints it.
    """
    home, choice = Home(), chosen(runner)
    ready(home)
    wait_for_orphans(home)
    matrix = matrix_of(experiment, overrides or {}, seed_policy, scheduled_time())
    rename(matrix.name)
    lifecycle.close_abandoned(home)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnusedFieldWarning)
        cells = plan.cells(matrix)
    trials = plan.trials(home, tracker_of(home), matrix, cells)
    left = [trial for trial in trials if trial.summary is None]
    began = time.perf_counter()
    with opened(choice, home, workers, len(left)) if left else nullcontext() as player:
        comparison = comparisons.open_comparison(home, matrix, cells, str(runtime.flow_run.id))
        records.set_tags(comparison.tracker, comparison.run_id, scheduled_tags(seed_policy))
        progress.send(progress.Opened(comparison.run_id, False))
        count = 0 if player is None else player.count
        planned = progress.Planned([trial.planned() for trial in trials], count)
        with live.published(home, live.of_comparison(matrix.name, comparison.run_id, planned)):
            progress.send(planned)
            outcomes = Outcomes(
                {(t.cell.label, t.seed): dict(t.summary) for t in trials if t.summary is not None},
                {},
            )
            if player is not None:
                _play(player, comparison, left, fail_fast, outcomes)
    seconds = time.perf_counter() - began
    page = page_of_this_flow_run()
    result = conclude(home, comparison, matrix, cells, outcomes.finished, outcomes.failed, page)
    result["seconds"] = float(f"{seconds:.1f}")
    ended = f"{len(outcomes.finished)} runs finished, {len(outcomes.failed)} failed."
    lifecycle.move(comparison.tracker, comparison.run_id, Event.FINISH, result=ended)
    progress.send(progress.Finished(comparison.run_id, result))
    tell_finished(home, "compare", result, schedule_name())
    return result


def _play(
    runner: Runner, comparison: Comparison, left: list[Trial], fail_fast: bool, outcomes: Outcomes
) -> None:
    """Submit a task for each run, as many at a time as there are workers."""
    ended: queue.SimpleQueue[PrefectFuture[dict[str, Any]]] = queue.SimpleQueue()
    submitted: dict[UUID, Trial] = {}
    waiting, stopped = deque(left), False

    def submit() -> None:
        trial = waiting.popleft()
        future = play_cell.submit(trial, comparison, runner)
        submitted[future.task_run_id] = trial
        future.add_done_callback(ended.put)

    for _ in range(min(runner.count, len(left))):
        submit()
    while submitted:
        future = ended.get()
        trial = submitted.pop(future.task_run_id)
        result = future.result(raise_on_failure=False)
        if isinstance(result, BaseException):
            run_id = result.run_id if isinstance(result, RunFailedError) else None
            outcomes.failed[trial.cell.label, trial.seed] = reason(result), run_id
            if fail_fast and not stopped:
                stopped = True
                runner.close()
        else:
            outcomes.finished[trial.cell.label, trial.seed] = result
        if waiting and not stopped:
            submit()
    for trial in waiting:
        text = "not played: another run failed before"
        outcomes.failed[trial.cell.label, trial.seed] = text, None
        ended_unplayed = progress.CellEnded(None, text)
        progress.send(progress.InCell(trial.cell.label, trial.seed, ended_unplayed))
