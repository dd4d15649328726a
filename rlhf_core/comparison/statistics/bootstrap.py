"""Stratified bootstrap over several tasks."""

from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float

from rlhf_core.comparison.statistics.interquartile import Interval

Statistic = Callable[[list[Float[np.ndarray, "R S"]]], Float[np.ndarray, " R"]]


def stratified_bootstrap(
    strata: Sequence[Float[np.ndarray, " S"]],
    statistic: Statistic,
    rng: np.random.Generator,
    level: float = 0.95,
    resamples: int = 2000,
) -> Interval:
    """Percentile interval of a statistic over several tasks, with seeds drawn within each task.

    Every resample draws as many runs of a task as there are, with replacement, so that each task
    keeps its weight. Agarwal et al. 2021, https://arxiv.org/abs/2108.13264. Percentile intervals
    are too narrow with few runs in all; `interquartile_interval` is the one for a single task.

    Args:
        strata: scores of the runs, one array for each task, none empty.
        statistic: from one array `[resamples, seeds]` for each task to one number a resample.
        rng: draws the resamples.
        level: nominal coverage, in (0, 1).
        resamples: number of them.
    """
    draws = [scores[rng.integers(len(scores), size=(resamples, len(scores)))] for scores in strata]
    low, high = np.quantile(statistic(draws), [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(low), float(high))


def pooled_interquartile_mean(draws: list[Float[np.ndarray, "R S"]]) -> Float[np.ndarray, " R"]:
    """Interquartile mean of all runs of all tasks together, one for each resample."""
    from scipy.stats import trim_mean

    means: np.ndarray = trim_mean(np.concatenate(draws, axis=1), 0.25, axis=1)
    return means
