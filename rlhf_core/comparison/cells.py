"""One row for each task and cell: the table of a comparison."""

from collections.abc import Mapping
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from rlhf_core.comparison.pairs import (
    PAIR_COLUMNS,
    Returns,
    adjusted_verdicts,
    compare_cells,
    difference_of,
    pair_columns,
    seed_columns,
)
from rlhf_core.comparison.statistics.efficiency import gain_per_unit
from rlhf_core.comparison.statistics.interquartile import interquartile_interval
from rlhf_core.comparison.statistics.normalised import normalised_score, optimality_gap
from rlhf_core.comparison.statistics.reliability import least_coverage
from rlhf_core.comparison.statistics.wilson import wilson_interval
from rlhf_core.evaluation.statistics import interquartile_mean

if TYPE_CHECKING:
    from pandas import DataFrame

MEANS = (
    "labels",
    "cost",
    "env_steps",
    "seconds",
    "heldout_accuracy",
    "proxy_correlation",
    "proxy_return",
    "first_return",
)
"""Columns of the runs whose mean over the finished runs stands in the table."""


def cell_row(
    finished: "DataFrame", failed: int, failure_level: float, level: float
) -> dict[str, object]:
    """Describe one cell by itself.

    Args:
        finished: its finished runs.
        failed: number of its runs without a return.
        failure_level: true return below which a seed has failed; NaN where unknown.
        level: of the intervals.
    """
    returns = finished["true_return"].to_numpy(np.float64)
    count = len(returns)
    interval = interquartile_interval(returns, level)
    has_rate = count > 0 and not np.isnan(failure_level)
    failures = int((returns < failure_level).sum()) if has_rate else 0
    rate = wilson_interval(failures, count if has_rate else 0, level)
    unknown = float("nan")
    row: dict[str, object] = {
        "seeds": count,
        "failed": failed,
        "mean": returns.mean() if count else unknown,
        "iqm": interquartile_mean(returns) if count else unknown,
        "ci_low": interval.low,
        "ci_high": interval.high,
        "coverage": least_coverage(count) if level == 0.95 else unknown,
        "failure_below": failure_level,
        "failures": failures if has_rate else unknown,
        "failure_rate": failures / count if has_rate else unknown,
        "failure_low": rate.low,
        "failure_high": rate.high,
        "median": np.median(returns) if count else unknown,
        "worst": returns.min() if count else unknown,
        "best": returns.max() if count else unknown,
    }
    for column in MEANS:
        row[column] = finished[column].mean()
    row["alarms"] = finished["alarms"].sum(min_count=1)
    return row


def efficiency_columns(finished: "DataFrame", random: float) -> dict[str, float]:
    """Interquartile mean over seeds of the gain for each label and for each unit of cost.

    A run whose untrained policy was not evaluated takes the task's random level.
    """
    returns = finished["true_return"].to_numpy(np.float64)
    first = finished["first_return"].fillna(random).to_numpy(np.float64)
    return {
        f"return_per_{name}": _middle(
            gain_per_unit(returns, first, finished[column].to_numpy(np.float64))
        )
        for name, column in (("label", "labels"), ("cost", "cost"))
    }


def normalised_columns(
    finished: "DataFrame", random: float, reference: float, level: float
) -> dict[str, float]:
    """Normalised score with its interval, and the optimality gap."""
    scores = normalised_score(finished["true_return"].to_numpy(np.float64), random, reference)
    defined = len(scores) > 0 and not np.isnan(scores).any()
    interval = interquartile_interval(scores if defined else scores[:0], level)
    return {
        "normalised_score": interquartile_mean(scores) if defined else float("nan"),
        "normalised_low": interval.low,
        "normalised_high": interval.high,
        "optimality_gap": optimality_gap(scores) if defined else float("nan"),
    }


def control_columns(
    returns: Mapping[str, Returns],
    controls: Mapping[str, str | None],
    level: float,
    *,
    named_control: bool,
) -> dict[str, dict[str, object]]:
    """Compare each cell with its control; p values are corrected over a family of comparisons.

    The family is that of the comparisons with the control where the control was named beforehand.
    A control that was chosen as the best cell of the same returns lies above its true value, so
    that the family is then that of all pairs of cells: in simulations of twelve equal normal cells
    of ten seeds, some difference was settled in 10 % of them with the small family, in 2 % with
    this one (`benchmarks/coverage.py`, rows `equal, control` and `equal cells`).

    Args:
        returns: by cell, of the cells of one task with a finished run.
        controls: cell to compare with, by cell; None for none.
        level: of the intervals; 1 - level is the chance of any settled difference between equals.
        named_control: whether the control was chosen without a look at the returns.
    """
    pairs = {
        (cell, control): compare_cells(returns[cell], returns[control], level)
        for cell, control in controls.items()
        if control is not None
    }
    if named_control:
        family = {frozenset(names): pair.difference for names, pair in pairs.items()}
    else:
        family = {
            frozenset((first, second)): difference_of(returns[first], returns[second], level)
            for first, second in combinations(returns, 2)
        }
    verdicts = dict(zip(family, adjusted_verdicts(list(family.values()), level), strict=True))
    unknown = dict.fromkeys((*PAIR_COLUMNS, "more_seeds"), float("nan"))
    rows: dict[str, dict[str, object]] = {
        cell: {"control": "", **unknown, "paired": False, "settled": False} for cell in controls
    }
    for (cell, control), pair in pairs.items():
        verdict = verdicts[frozenset((cell, control))]
        rows[cell] = {
            "control": control,
            **pair_columns(pair, verdict),
            "more_seeds": seed_columns(pair, verdict)["more_seeds"],
        }
    return rows


def _middle(values: np.ndarray) -> float:
    numbers = values[~np.isnan(values)]
    return interquartile_mean(numbers) if len(numbers) else float("nan")
