"""Statistics of returns, with intervals, and correlations.

Agarwal et al. 2021, https://arxiv.org/abs/2108.13264.
"""

import numpy as np
from jaxtyping import Float


def interquartile_mean(values: Float[np.ndarray, " E"]) -> float:
    """Mean of the middle half of the values: a quarter is dropped at each end.

    With n values, floor(n / 4) are dropped on each side, as SciPy's `trim_mean(values, 0.25)`
    and rliable do.
    """
    ordered = np.sort(values)
    cut = len(ordered) // 4
    return float(ordered[cut : len(ordered) - cut].mean())


def bootstrap_interval(
    values: Float[np.ndarray, " E"],
    rng: np.random.Generator,
    level: float = 0.95,
    resamples: int = 2000,
) -> tuple[float, float]:
    """Percentile bootstrap interval of the interquartile mean."""
    draws = np.sort(rng.choice(values, size=(resamples, len(values))), axis=1)
    cut = len(values) // 4
    means = draws[:, cut : len(values) - cut].mean(axis=1)
    tail = (1 - level) / 2
    low, high = np.quantile(means, [tail, 1 - tail])
    return float(low), float(high)


def pearson(first: Float[np.ndarray, " B"], second: Float[np.ndarray, " B"]) -> float | None:
    """Linear correlation; None where one side is constant."""
    if len(first) < 2 or np.ptp(first) == 0 or np.ptp(second) == 0:
        return None
    return float(np.corrcoef(first, second)[0, 1])


def spearman(first: Float[np.ndarray, " B"], second: Float[np.ndarray, " B"]) -> float | None:
    """Rank correlation with mean ranks for ties; None where one side is constant."""
    return pearson(_ranks(first), _ranks(second))


def _ranks(values: np.ndarray) -> np.ndarray:
    _, position, count = np.unique(values, return_inverse=True, return_counts=True)
    mean_rank = np.cumsum(count) - (count - 1) / 2
    ranks: np.ndarray = mean_rank[position]
    return ranks
