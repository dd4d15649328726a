"""Several tasks together, on normalised scores."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from rlhf_core.comparison.statistics.bootstrap import (
    pooled_interquartile_mean,
    pooled_mean,
    stratified_interval,
)
from rlhf_core.comparison.statistics.normalised import optimality_gap
from rlhf_core.evaluation.statistics import interquartile_mean

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

    Interquartile mean and optimality gap pool all runs of all tasks; intervals are by
    `stratified_interval`.

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
        pool = np.concatenate(strata)
        middle = stratified_interval(strata, pooled_interquartile_mean, rng, level)
        capped = [np.minimum(of_task, 1.0) for of_task in strata]
        capped_mean = stratified_interval(capped, pooled_mean, rng, level)
        rows.append(
            {
                "cell": cell,
                "tasks": len(tasks),
                "runs": len(pool),
                "iqm": interquartile_mean(pool),
                "ci_low": middle.low,
                "ci_high": middle.high,
                "optimality_gap": optimality_gap(pool),
                "gap_low": 1 - capped_mean.high,
                "gap_high": 1 - capped_mean.low,
            }
        )
    frame = pd.DataFrame(rows, columns=list(COLUMNS))
    return frame.sort_values("iqm", ascending=False, ignore_index=True)
