"""The runs of a comparison: which of them are finished, which go on, and which are to be played."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flows.experiments import presets
from rlhf_core.configuration import read
from rlhf_core.errors import ConfigurationError, MatrixError, RlhfError
from rlhf_core.matrix import Cell, Matrix
from tasks.home import Home
from tasks.people import asks_people
from tasks.progress import PlannedRun
from tasks.runs import heartbeat, lease, lifecycle, outcome
from tasks.runs.content import content_of
from tasks.runs.states import State
from tasks.tracking import records
from tasks.tracking.store import Tracker
from tasks.tracking.tags import CONTENT_TAG


@dataclass(frozen=True)
class Trial:
    """One run of a comparison."""

    cell: Cell
    seed: int
    run_id: str | None
    """A run of the same content that there is already."""
    summary: Mapping[str, Any] | None
    """Of that run, if it is finished."""

    @property
    def name(self) -> str:
        """Such as `preference-ppo-s0`."""
        return f"{self.cell.name}-s{self.seed}"

    def planned(self) -> PlannedRun:
        """What those who watch need to know of it."""
        experiment = self.cell.experiment
        steps = experiment.first_steps + experiment.total_steps
        rounds = experiment.budget.rounds
        return PlannedRun(self.cell.label, self.seed, rounds, steps, self.summary)


def cells(matrix: Matrix) -> list[Cell]:
    """Every cell of a matrix, validated; each environment is tried once.

    Raises:
        MatrixError: names every problem of every cell.
    """
    problems, experiments = list[str](), dict[str, dict[str, Any]]()
    for name in matrix.named_experiments:
        try:
            source = presets.source(name)
            experiments[name] = read(presets.find(name), source, "'name', 'environment', ...")
        except ConfigurationError as error:
            problems.append(f"experiment: {error}")
    if problems:
        raise MatrixError(problems)
    expanded = matrix.cells(experiments)
    check(expanded)
    return expanded


def check(cells: Sequence[Cell]) -> None:
    """Try each environment once, and see that what the cells give can be compared.

    Raises:
        MatrixError: names every problem of every cell.
    """
    problems = [*_with_people(cells), *_without_truth(cells), *_equal(cells), *_broken(cells)]
    if problems:
        raise MatrixError(problems)


def _with_people(cells: Sequence[Cell]) -> Iterator[str]:
    for cell in cells:
        if asks_people(cell.experiment):
            yield (
                f"cell '{cell.label}': expected simulated annotators, since a comparison asks "
                "nobody, actual: annotator.kind: human; train it by `rlhf train` and compare by "
                "`rlhf report`"
            )


def _without_truth(cells: Sequence[Cell]) -> Iterator[str]:
    for cell in cells:
        measured = cell.experiment.evaluation.environment or cell.experiment.environment
        if not measured.true_reward:
            yield (
                f"cell '{cell.label}': expected an environment with a true reward to compare by, "
                "actual: environment.true_reward: false"
            )


def _equal(cells: Sequence[Cell]) -> Iterator[str]:
    """Cells that are the same configuration would be the same runs."""
    first: dict[str, Cell] = {}
    for cell in cells:
        other = first.setdefault(content_of(cell.experiment), cell)
        if other is not cell:
            yield (
                f"cell '{cell.label}': expected another configuration than that of cell "
                f"'{other.label}', actual: the same"
            )


def _broken(cells: Sequence[Cell]) -> Iterator[str]:
    """Try each environment once."""
    tried = list[Any]()
    for cell in cells:
        environment = cell.experiment.environment
        if environment in tried:
            continue
        tried.append(environment)
        try:
            environment.try_out()
        except RlhfError as error:
            yield f"cell '{cell.label}': {error}"


def trials(home: Home, tracker: Tracker, matrix: Matrix, cells: Sequence[Cell]) -> list[Trial]:
    """Every run, seeds first, so that each cell has some results soon."""
    runs = [(cell, seed) for seed in matrix.all_seeds for cell in cells]
    return trials_of(home, tracker, runs)


def trials_of(home: Home, tracker: Tracker, runs: Sequence[tuple[Cell, int]]) -> list[Trial]:
    """Runs of cells with seeds, each with the run of the same content that there is already."""
    with lease.nobody_works(home) as working:
        busy = {work.run_id for work in working}
    contents = ({CONTENT_TAG: content_of(cell.of_seed(seed))} for cell, seed in runs)
    return [
        _trial(home, tracker, cell, seed, same, busy)
        for (cell, seed), same in zip(runs, records.find_each(tracker, contents), strict=True)
    ]


def _trial(
    home: Home,
    tracker: Tracker,
    cell: Cell,
    seed: int,
    same: Sequence[records.Record],
    busy: "set[str | None]",
) -> Trial:
    """A run of a comparison, of which there are records with the same content already."""
    for record in same:
        ended = outcome.look_up(home, tracker, record.run_id)
        if ended is not None:
            return Trial(cell, seed, record.run_id, ended.summary)
    for record in _resumable(same):
        # A run that this home has not begun may be going on elsewhere.
        if record.run_id not in busy and (
            lifecycle.began_here(home, record) or heartbeat.is_silent(record)
        ):
            return Trial(cell, seed, record.run_id, None)
    return Trial(cell, seed, None, None)


def _resumable(same: Sequence[records.Record]) -> Iterator[records.Record]:
    """Runs that broke, were interrupted, or whose process is gone."""
    for record in same:
        if State.of(record.status) is not State.FINISHED:
            yield record
