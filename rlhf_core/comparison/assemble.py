"""Compare runs: data frames in, tables, figures and a report out."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from rlhf_core.comparison.answer import answers_of
from rlhf_core.comparison.cells import (
    cell_row,
    control_columns,
    efficiency_columns,
    normalised_columns,
)
from rlhf_core.comparison.comparison import Comparison
from rlhf_core.comparison.curves import areas, iqm_curves, returns_at_labels
from rlhf_core.comparison.frames import checked_curves, checked_runs, failure_levels
from rlhf_core.comparison.overall import overall_table
from rlhf_core.comparison.pairs import Returns, pairwise_table
from rlhf_core.comparison.roles import controls_of, random_level, reference_cells, reference_of
from rlhf_core.comparison.statistics.normalised import normalised_score
from rlhf_core.comparison.statistics.profile import profile_table
from rlhf_core.errors import ConfigurationError
from rlhf_core.evaluation.statistics import interquartile_mean

if TYPE_CHECKING:
    from pandas import DataFrame


@dataclass(frozen=True)
class _Task:
    """Runs of one task, with the levels that its returns are measured against."""

    name: str
    runs: "DataFrame"
    ranking: dict[str, float]
    """Interquartile mean by cell, best first; NaN and last for cells without a finished run."""
    returns: dict[str, Returns]
    """By cell, best first, of those with a finished run."""
    references: list[str]
    """Best first, of those with a finished run."""
    random: float

    @property
    def best_reference(self) -> float:
        """Interquartile mean of the best reference; NaN without one."""
        return self.ranking[self.references[0]] if self.references else float("nan")


def compare(
    runs: "DataFrame",
    curves: "DataFrame | None" = None,
    *,
    name: str = "comparison",
    control: str | None = None,
    reference: str | None = None,
    failure_below: float | Mapping[str, float] | None = None,
    level: float = 0.95,
    seed: int = 0,
) -> Comparison:
    """Compare the cells of each task: which one won, by how much and how surely.

    A seed's number is its `true_return`, a cell's the interquartile mean over its finished runs.
    Cells are compared on common seeds. P values are corrected after Holm: over a task's comparisons
    with a named control, otherwise, and in `pairwise`, over all pairs of a task.

    Args:
        runs: one row for each run, with `task`, `cell`, `seed` and `true_return` (NaN for a run
            that failed), and any of `status`, `reason`, `strategy`, `optimiser`, `labels`, `cost`,
            `env_steps`, `seconds`, `alarms`, `heldout_accuracy`, `proxy_correlation`,
            `proxy_return`, `first_return` (of the untrained policy), `run_id`, `link`.
        curves: one row for each run and round, with `task`, `cell`, `seed`, `env_steps`, `labels`,
            `cost`, `true_return`, and any of `proxy_return`, `heldout_accuracy`,
            `proxy_correlation`.
        name: of the comparison.
        control: cell that the others are measured against; by default the best other cell.
        reference: cell trained on the true reward; by default the cells of the strategy
            `true_reward`, each for its own optimiser.
        failure_below: true return below which a seed has failed, one for all tasks or one for each;
            by default half-way between the untrained policy and the reference, if both are known.
        level: nominal coverage of the intervals, in (0, 1).
        seed: of the resampling over several tasks, the only random part.

    Raises:
        ConfigurationError: a column is missing, a row holds what it must not, or a cell or task is
            named that no run has.
    """
    import pandas as pd

    runs = checked_runs(runs)
    rounds = checked_curves(curves, runs)
    if not 0 < level < 1:
        raise ConfigurationError(f"level: expected a number between 0 and 1, got {level}")
    for field, cell in (("control", control), ("reference", reference)):
        if cell is not None and cell not in set(runs["cell"]):
            names = ", ".join(dict.fromkeys(runs["cell"]))
            raise ConfigurationError(f"{field}: expected one of the cells {names}, got {cell!r}")
    references = reference_cells(runs, reference)
    tasks = [_task(name, rows, references) for name, rows in runs.groupby("task", sort=False)]
    failures = failure_levels(
        failure_below,
        [task.name for task in tasks],
        references={task.name: task.best_reference for task in tasks},
        randoms={task.name: task.random for task in tasks},
    )
    table = pd.concat(
        [_table(task, failures[task.name], control, level) for task in tasks], ignore_index=True
    )
    for column, axis in (("auc_steps", "env_steps"), ("auc_labels", "labels")):
        by_cell = areas(rounds, axis)
        keys = zip(table["task"], table["cell"], strict=True)
        table[column] = [by_cell.get(key, float("nan")) for key in keys]
    failed = runs[runs["status"] == "failed"].reset_index(drop=True)
    return Comparison(
        name=name,
        level=level,
        control=control,
        references=tuple(references),
        table=table,
        pairwise=_stacked([pairwise_table(task.name, task.returns, level) for task in tasks]),
        curves=iqm_curves(rounds, level),
        at_labels=returns_at_labels(rounds, level),
        profiles=_stacked([profile_table(task.name, task.returns, level) for task in tasks]),
        overall=overall_table(
            {task.name: _scores(task) for task in tasks}, np.random.default_rng(seed), level
        ),
        failed=failed[["task", "cell", "seed", "reason", "run_id", "link"]],
        answers=answers_of(table, failed, references),
        runs=runs,
        rounds=rounds,
    )


def _task(name: str, runs: "DataFrame", references: list[str]) -> _Task:
    finished = runs[runs["status"] == "finished"]
    middles = {
        cell: interquartile_mean(rows["true_return"].to_numpy(np.float64))
        for cell, rows in finished.groupby("cell", sort=False)
    }
    best_first = sorted(middles, key=lambda cell: -middles[cell])
    ranking = {cell: middles[cell] for cell in best_first}
    for cell in dict.fromkeys(runs["cell"]):
        ranking.setdefault(cell, float("nan"))
    returns: dict[str, Returns] = {}
    for cell in best_first:
        rows = finished[finished["cell"] == cell]
        returns[cell] = dict(zip(rows["seed"], rows["true_return"], strict=True))
    present = [cell for cell in best_first if cell in references]
    return _Task(name, runs, ranking, returns, present, random_level(runs))


def _table(task: _Task, failure_level: float, control: str | None, level: float) -> "DataFrame":
    """One row for each cell of a task, best first."""
    import pandas as pd

    controls = controls_of(list(task.ranking), list(task.returns), task.references, control)
    comparisons = control_columns(task.returns, controls, level, named_control=control is not None)
    rows: list[dict[str, Any]] = []
    for cell in task.ranking:
        runs = task.runs[task.runs["cell"] == cell]
        finished = runs[runs["status"] == "finished"]
        own = reference_of(cell, task.runs, task.references)
        top = task.ranking[own] if own else float("nan")
        rows.append(
            {
                "task": task.name,
                "cell": cell,
                "strategy": runs["strategy"].iloc[0],
                "optimiser": runs["optimiser"].iloc[0],
                **cell_row(finished, len(runs) - len(finished), failure_level, level),
                **comparisons[cell],
                "reference": own,
                **normalised_columns(finished, task.random, top, level),
                **efficiency_columns(finished, task.random),
            }
        )
    return pd.DataFrame(rows)


def _scores(task: _Task) -> dict[str, np.ndarray]:
    """Normalised scores by cell, where they are known."""
    scores = {}
    for cell, returns in task.returns.items():
        own = reference_of(cell, task.runs, task.references)
        top = task.ranking[own] if own else float("nan")
        values = normalised_score(np.array(list(returns.values())), task.random, top)
        if not np.isnan(values).any():
            scores[cell] = values
    return scores


def _stacked(frames: list["DataFrame"]) -> "DataFrame":
    """Stack frames, of which the empty ones have columns without a type."""
    import pandas as pd

    parts = [frame for frame in frames if len(frame)]
    return pd.concat(parts, ignore_index=True) if parts else frames[0]
