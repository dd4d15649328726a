"""How long a comparison will take, from runs that are finished."""

from collections.abc import Iterator, Sequence
from statistics import median

from flows.comparison import plan
from rlhf_core.matrix import Cell, Matrix
from rlhf_core.texts import duration
from tasks.home import Home
from tasks.runs import comparisons
from tasks.tracking.results import Speed, speeds
from tasks.tracking.store import prepare


def estimate(home: Home, matrix: Matrix, cells: Sequence[Cell], workers: int) -> Iterator[str]:
    """The cells of a comparison and how long they will take, line by line.

    The time of a run is that of finished runs with the same strategy, optimiser and environment,
    by their environment steps.
    """
    tracker = prepare(home)
    comparisons.check_unchanged(tracker, matrix, cells)
    trials = plan.trials(home, tracker, matrix, cells)
    finished = speeds(tracker)
    left = list[float | None]()
    for cell in cells:
        own = [trial for trial in trials if trial.cell is cell]
        to_play = [trial for trial in own if trial.summary is None]
        seconds = _seconds(cell, finished)
        left += [seconds] * len(to_play)
        each = "no run to estimate from" if seconds is None else f"about {duration(seconds)} each"
        yield f"{cell.label}: {len(to_play)} of {len(own)} runs to play, {each}"
    guesses = [seconds for seconds in left if seconds is not None]
    text = f"{len(cells)} cells, {len(trials)} runs, {len(left)} to play"
    if guesses:
        whole = sum(guesses) * len(left) / len(guesses) / min(workers, len(left))
        text += f", about {duration(whole)} with {workers} workers"
    yield text


def _seconds(cell: Cell, finished: Sequence[Speed]) -> float | None:
    """Of one run, by the median speed of those like it; None where there is none."""
    experiment = cell.experiment
    kinds = (experiment.environment.id, experiment.feedback.kind, experiment.optimiser.kind)
    like = [speed.seconds / speed.steps for speed in finished if speed.kinds == kinds]
    steps = experiment.first_steps + experiment.total_steps
    return median(like) * steps if like else None
