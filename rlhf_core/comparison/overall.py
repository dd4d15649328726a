"""Several tasks together, on normalised scores."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from rlhf_core.comparison.statistics.bootstrap import (
    pooled_interquartile_mean,
    stratified_bootstrap,
)

if TYPE_CHECKING:
    from pandas import DataFrame

COLUMNS = (
    "cell",
    "tasks",
    "runs",
    "iqm",
    "ci_low",
    "ci_high",
    "optimality_gap",
    "gap_low",
    "gap_high",
)


def overall_table(
    scores: Mapping[str, Mapping[str, Float[np.ndarray, " S"]]],
    rng: np.random.Generator,
    level: float,
) -> "DataFrame":
    """Bring the tasks together: one row for each cell that has a normalised score in all of them.

    The interquartile mean pools all runs of all tasks; intervals are by `stratified_bootstrap`.

    Args:
        scores: normalised, by task and cell, of finished runs.
        rng: draws the resamples.
        level: of the intervals.

    Returns:
        The frame, best first; empty with fewer than two tasks.
    """
    import pandas as pd

    rows = []
    tasks = list(scores)
    cells = [cell for cell in scores[tasks[0]] if all(cell in scores[task] for task in tasks)]
    for cell in cells if len(tasks) > 1 else []:
        strata = [scores[task][cell] for task in tasks]
        pool = [np.concatenate(strata)[None]]
        middle = stratified_bootstrap(strata, pooled_interquartile_mean, rng, level)
        gap = stratified_bootstrap(strata, _pooled_gap, rng, level)
        rows.append(
            {
                "cell": cell,
                "tasks": len(tasks),
                "runs": pool[0].shape[1],
                "iqm": float(pooled_interquartile_mean(pool)[0]),
                "ci_low": middle.low,
                "ci_high": middle.high,
                "optimality_gap": float(_pooled_gap(pool)[0]),
                "gap_low": gap.low,
                "gap_high": gap.high,
            }
        )
    frame = pd.DataFrame(rows, columns=list(COLUMNS))
    return frame.sort_values("iqm", ascending=False, ignore_index=True)


def _pooled_gap(draws: list[Float[np.ndarray, "R S"]]) -> Float[np.ndarray, " R"]:
    return np.asarray(1 - np.minimum(np.concatenate(draws, axis=1), 1.0).mean(axis=1))
