"""Curves over rounds, averaged over seeds."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from rlhf_core.comparison.statistics.area import area_under_curve, latest_values
from rlhf_core.comparison.statistics.interquartile import interquartile_interval
from rlhf_core.evaluation.statistics import interquartile_mean

if TYPE_CHECKING:
    from pandas import DataFrame

AXES = ("env_steps", "labels")
MOST_POINTS = 60
"""More points of a curve than these are thinned out."""

LABEL_COUNTS = (20, 50, 100, 200)
"""Numbers of labels at which returns are read off."""

Curve = tuple[Float[np.ndarray, " _"], Float[np.ndarray, " _"]]
"""x and y of one run; runs differ in their number of rounds."""


def run_curves(curves: "DataFrame", axis: str) -> dict[tuple[str, str], dict[int, Curve]]:
    """Curve of each run by task and cell, then by seed; cells that never used the axis are left
    out.

    Cells without a label, such as those on the true reward, have no curve over labels.
    """
    points = curves.dropna(subset=[axis])
    runs: dict[tuple[str, str], dict[int, Curve]] = {}
    for (task, cell, seed), rounds in points.groupby(["task", "cell", "seed"], sort=False):
        x, y = latest_values(
            rounds[axis].to_numpy(np.float64), rounds["true_return"].to_numpy(np.float64)
        )
        if x[-1] > 0:
            runs.setdefault((task, cell), {})[seed] = (x, y)
    return runs


def common_range(curves: Iterable[Curve]) -> tuple[float, float]:
    """Part of the axis that all curves cover; it is empty where the end is below the start."""
    ends = [(x[0], x[-1]) for x, _ in curves]
    return max(start for start, _ in ends), min(end for _, end in ends)


def iqm_curves(curves: "DataFrame", level: float) -> "DataFrame":
    """Interquartile mean and interval over seeds along each axis.

    Runs are read off between their rounds on straight lines. A cell's curve spans what all its
    seeds cover.

    Returns:
        A frame with the columns task, cell, axis, x, iqm, ci_low, ci_high, seeds.
    """
    import pandas as pd

    rows = []
    for axis in AXES:
        for (task, cell), runs in run_curves(curves, axis).items():
            for x in _grid(list(runs.values())):
                heights = np.array([np.interp(x, *curve) for curve in runs.values()])
                rows.append(
                    {"task": task, "cell": cell, "axis": axis, "x": x, **_point(heights, level)}
                )
    columns = ["task", "cell", "axis", "x", "iqm", "ci_low", "ci_high", "seeds"]
    return pd.DataFrame(rows, columns=columns)


def returns_at_labels(
    curves: "DataFrame", level: float, counts: Sequence[int] = LABEL_COUNTS
) -> "DataFrame":
    """Interquartile mean of the return at some numbers of labels, of the seeds that had so many.

    Returns:
        A frame with the columns task, cell, labels, iqm, ci_low, ci_high, seeds.
    """
    import pandas as pd

    rows = []
    for (task, cell), runs in run_curves(curves, "labels").items():
        for count in counts:
            heights = [np.interp(count, x, y) for x, y in runs.values() if x[0] <= count <= x[-1]]
            if heights:
                point = _point(np.array(heights), level)
                rows.append({"task": task, "cell": cell, "labels": count, **point})
    columns = ["task", "cell", "labels", "iqm", "ci_low", "ci_high", "seeds"]
    return pd.DataFrame(rows, columns=columns)


def areas(curves: "DataFrame", axis: str) -> dict[tuple[str, str], float]:
    """Interquartile mean of the area under a cell's curves, on what all runs of the task cover."""
    runs = run_curves(curves, axis)
    by_task: dict[str, list[Curve]] = {}
    for (task, _), of_cell in runs.items():
        by_task.setdefault(task, []).extend(of_cell.values())
    ranges = {task: common_range(of_task) for task, of_task in by_task.items()}
    return {
        key: interquartile_mean(
            np.array([area_under_curve(x, y, *ranges[key[0]]) for x, y in of_cell.values()])
        )
        for key, of_cell in runs.items()
    }


def _grid(curves: Sequence[Curve]) -> Float[np.ndarray, " P"]:
    start, end = common_range(curves)
    points = np.unique(np.concatenate([x for x, _ in curves]))
    points = points[(points >= start) & (points <= end)]
    if len(points) > MOST_POINTS:
        points = points[np.linspace(0, len(points) - 1, MOST_POINTS).round().astype(int)]
    return points


def _point(heights: np.ndarray, level: float) -> dict[str, float]:
    interval = interquartile_interval(heights, level)
    return {
        "iqm": interquartile_mean(heights),
        "ci_low": interval.low,
        "ci_high": interval.high,
        "seeds": len(heights),
    }
