"""The flow of a sweep: settings drawn and played seed by seed, the best of them on fresh seeds."""

import queue
import time
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

from prefect import flow, runtime
from prefect.futures import PrefectFuture

from flows.compare import compare, play_cell
from flows.comparison import plan
from flows.comparison.plan import Trial
from flows.comparison.result import conclude
from flows.experiments.resolving import GivenSweep, sweep_of
from flows.flow_run import rename, schedule_name
from flows.notices import silent, tell_finished
from flows.runners import Choice, RunFailedError, Runner, RunnerLeftError, chosen, opened
from flows.runners.processes import wait_for_orphans
from flows.services.prefect_page import page_of_this_flow_run
from flows.services.ready import ready
from flows.sweeps import figures, report
from flows.sweeps.trials import Base, base_of, final_matrix, matrix_of
from flows.train import close
from rlhf_core.errors import ConfigurationError, RunError, UnusedFieldWarning
from rlhf_core.matrix import Cell
from rlhf_core.sweep import Setting, Study, Sweep
from tasks import progress
from tasks.home import Home
from tasks.reasons import reason
from tasks.runs import comparisons, lifecycle
from tasks.runs.comparisons import Comparison
from tasks.runs.states import Event
from tasks.tracking.logging import log_files
from tasks.tracking.store import Tracker

RETURN = "true_return_iqm"
"""What a sweep maximises, of the summary of a run."""


@flow(
    name="sweep",
    on_completion=[close],
    on_failure=[close],
    on_crashed=[close],
    on_cancellation=[close],
    persist_result=False,
)
def sweep(
    search: GivenSweep, workers: int | None = None, runner: str = "processes"
) -> dict[str, Any]:
    """Search for settings, and play the best of them with seeds that none was chosen by.

    A sweep has an identity, its name: called again, it goes on to the number of its trials.

    Args:
        search: the path of a sweep's YAML file, or a sweep written out.
        workers: trials that are played at the same time; None: one a core, or as many runs as the
            runner's cluster plays.
        runner: where runs are played, as `flows.runners.chosen` reads it.

    Returns:
        The result, as `rlhf sweep --json` prints it.
    """
    home, choice = Home(), chosen(runner)
    ready(home)
    wait_for_orphans(home)
    wanted = sweep_of(search)
    rename(wanted.name)
    lifecycle.close_abandoned(home)
    with home.alone(f"sweep-{wanted.name}", f"sweep '{wanted.name}'"):
        return _searched(home, wanted, choice, workers)


def _searched(home: Home, wanted: Sweep, choice: Choice, workers: int | None) -> dict[str, Any]:
    """Play a sweep that nobody else plays; returns its result."""
    base = base_of(wanted)
    study = study_of(home, wanted, base)
    began = time.perf_counter()
    record = comparisons.open_comparison(
        home, matrix_of(wanted, base), [base.usual], str(runtime.flow_run.id)
    )
    progress.send(progress.Opened(record.run_id, False))
    if study.unfinished:
        with opened(choice, home, workers, wanted.trials) as player:
            _Search(home, record, wanted, base, study, player).play()
    best = study.best()[: wanted.best]
    if not best:
        raise RunError(f"no trial of sweep '{wanted.name}' ended well: {report.reasons(study)}")
    with silent():
        final = compare(final_matrix(wanted, base, best), workers=workers, runner=str(choice))
    _conclude_trials(home, record, wanted, base, study)
    result = report.result(home, wanted, base, study, record.run_id, final)
    result["seconds"] = float(f"{time.perf_counter() - began:.1f}")
    files = {report.TABLE: str(result["text"]).encode(), **figures.drawn(study)}
    log_files(record.tracker, record.run_id, files)
    lifecycle.move(record.tracker, record.run_id, Event.FINISH, result=str(result["answer"]))
    progress.send(progress.Finished(record.run_id, result))
    tell_finished(home, "sweep", result, schedule_name())
    return result


def study_of(home: Home, wanted: Sweep, base: Base) -> Study:
    """The study of a sweep, in its file in the home.

    Raises:
        RunError: the sweep of this name searches otherwise.
    """
    path: Path = home.folder("sweeps") / f"{wanted.name}.journal"
    # The content of the experiment is what must not change, wherever its file lies.
    whole = wanted.model_copy(update={"experiment": dict(base.content)})
    return Study(whole, path, base.usual_values(wanted.space))


@dataclass
class _Search:
    """Settings that are being played, one run of each at a time."""

    home: Home
    record: Comparison
    wanted: Sweep
    base: Base
    study: Study
    runner: Runner
    _ended: "queue.SimpleQueue[PrefectFuture[dict[str, Any]]]" = field(
        default_factory=queue.SimpleQueue
    )
    _playing: dict[UUID, tuple[Setting, Cell, int]] = field(default_factory=dict)

    @property
    def _tracker(self) -> Tracker:
        return self.record.tracker

    def play(self) -> None:
        """Play settings until none is left."""
        for _ in range(self.runner.count):
            self._begin()
        while self._playing:
            future = self._ended.get()
            setting, cell, seed = self._playing.pop(future.task_run_id)
            outcome = future.result(raise_on_failure=False)
            if isinstance(outcome, BaseException):
                if not isinstance(outcome, RunFailedError) or isinstance(outcome, RunnerLeftError):
                    # The setting is not to blame: its trial stays open, and goes on later.
                    raise RunError(
                        f"trial {setting.number} stopped in the middle ({reason(outcome)}); run "
                        "the same again, and the sweep goes on"
                    ) from outcome
                self._end(setting, f"seed {seed}: {reason(outcome)}")
                self._begin()
            else:
                self._go_on(setting, cell, seed, outcome)

    def _begin(self) -> None:
        """Begin with the next setting; one that cannot be run ends at once."""
        while (setting := self.study.next()) is not None:
            try:
                cell = self.base.cell(setting)
            except ConfigurationError as error:
                self._end(setting, str(error))
                continue
            comparisons.add_cells(self.record, [cell])
            if self._play_next(setting, cell):
                return

    def _go_on(self, setting: Setting, cell: Cell, seed: int, summary: dict[str, Any]) -> None:
        """Go on with a setting after a run of it, or begin with another one."""
        if "given_up" in summary:
            why = str(summary["given_up"])
            self._tell(self.study.give_up(setting.number, seed, summary["curve"], why))
            self._begin()
        elif self._report(setting, seed, summary) or not self._play_next(setting, cell):
            self._begin()

    def _report(self, setting: Setting, seed: int, summary: dict[str, Any]) -> bool:
        """Write down a run; whether its setting ended with it."""
        curve = summary.get("curve", ())
        if not self.study.report(setting.number, seed, float(summary[RETURN]), curve):
            return False
        self._end(setting)
        return True

    def _play_next(self, setting: Setting, cell: Cell) -> bool:
        """Hand out the next run of a setting; False: it has ended."""
        for seed in self.wanted.tuned_on:
            if seed in self.study.returns(setting.number):
                continue
            (trial,) = plan.trials_of(self.home, self._tracker, [(cell, seed)])
            if trial.summary is None:
                self._submit(setting, trial)
                return True
            if self._report(setting, seed, dict(trial.summary)):
                return False
        self._end(setting)
        return False

    def _submit(self, setting: Setting, trial: Trial) -> None:
        bar = self.study.bar(setting.number, trial.seed)
        future = play_cell.submit(trial, self.record, self.runner, bar)
        self._playing[future.task_run_id] = setting, trial.cell, trial.seed
        future.add_done_callback(self._ended.put)

    def _end(self, setting: Setting, failure: str | None = None) -> None:
        self._tell(self.study.end(setting.number, failure))

    def _tell(self, ended: Setting) -> None:
        progress.send(
            progress.TrialEnded(
                ended.number, dict(ended.changes), ended.mean if ended.returns else None,
                ended.pruned, ended.given_up, ended.reason, self.wanted.trials,
            )
        )  # fmt: skip


def _conclude_trials(
    home: Home, record: Comparison, wanted: Sweep, base: Base, study: Study
) -> None:
    """Compare the trials that were played with every seed, with a report of their own."""
    cells = [base.cell(setting) for setting in study.best()]
    matrix = matrix_of(wanted, base)
    trials = plan.trials(home, record.tracker, matrix, cells)
    finished = {(t.cell.label, t.seed): dict(t.summary) for t in trials if t.summary is not None}
    page = page_of_this_flow_run()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnusedFieldWarning)
        conclude(home, record, matrix, cells, finished, {}, page)
