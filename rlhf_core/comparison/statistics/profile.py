"""Performance profiles: the share of runs above each score."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from rlhf_core.comparison.statistics.wilson import wilson_interval

if TYPE_CHECKING:
    from pandas import DataFrame

POINTS = 61
"""Number of thresholds in a table of profiles."""


def performance_profile(
    scores: Float[np.ndarray, " S"], thresholds: Float[np.ndarray, " T"]
) -> Float[np.ndarray, " T"]:
    """Share of runs that score more than each threshold.

        F(tau) = #{x > tau} / n

    Agarwal et al. 2021, https://arxiv.org/abs/2108.13264, after Dolan and Moré 2002,
    https://arxiv.org/abs/cs/0102001. A profile that lies above another everywhere is better
    whatever one asks for.

    Args:
        scores: one number for each run, all tasks together.
        thresholds: tau.
    """
    return np.asarray((scores[:, None] > thresholds[None, :]).mean(axis=0))


def profile_band(
    profile: Float[np.ndarray, " T"], runs: int, level: float = 0.95
) -> tuple[Float[np.ndarray, " T"], Float[np.ndarray, " T"]]:
    """Pointwise Wilson intervals of a profile of so many runs, lower and upper ends.

    rliable draws bootstrap bands, which have no width where all runs or none are above.
    """
    ends = [wilson_interval(round(share * runs), runs, level) for share in profile]
    return np.array([end.low for end in ends]), np.array([end.high for end in ends])


def profile_table(
    task: str, returns: Mapping[str, Mapping[int, float]], level: float
) -> "DataFrame":
    """Profiles of a task's cells at thresholds from the lowest to the highest return.

    Args:
        task: name.
        returns: by cell, then by seed.
        level: of the bands.

    Returns:
        A frame with the columns task, cell, threshold, share, low, high, runs.
    """
    import pandas as pd

    columns = ["task", "cell", "threshold", "share", "low", "high", "runs"]
    scores = {cell: np.array(list(of_cell.values())) for cell, of_cell in returns.items()}
    if not scores:
        return pd.DataFrame(columns=columns)
    pool = np.concatenate(list(scores.values()))
    margin = 0.02 * np.ptp(pool)
    thresholds = np.linspace(pool.min() - margin, pool.max() + margin, POINTS)
    rows = []
    for cell, values in scores.items():
        shares = performance_profile(values, thresholds)
        low, high = profile_band(shares, len(values), level)
        for point in zip(thresholds, shares, low, high, strict=True):
            rows.append((task, cell, *point, len(values)))
    return pd.DataFrame(rows, columns=columns)
