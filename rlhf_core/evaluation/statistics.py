"""Statistics of returns, with intervals, and correlations.

Agarwal et al. 2021, https://arxiv.org/abs/2108.13264.
"""

import numpy as np
from jaxtyping import Float


def interquartile_mean(values: Float[np.ndarray, " E"]) -> float:
    """Mean of the middle half of the values: a quarter is dropped at each end.

    With n values, floor(n / 4) are dropped on each side, as rliable does.
    """
    from scipy.stats import trim_mean

    return float(trim_mean(values, 0.25))


def bootstrap_interval(
    values: Float[np.ndarray, " E"],
    rng: np.random.Generator,
    level: float = 0.95,
    resamples: int = 2000,
) -> tuple[float, float]:
    """Percentile bootstrap interval of the interquartile mean."""
    from scipy.stats import bootstrap, trim_mean

    if len(values) < 2:
        return float(values[0]), float(values[0])
    interval = bootstrap(
        (values,),
        lambda draws, axis: trim_mean(draws, 0.25, axis=axis),
        n_resamples=resamples,
        vectorized=True,
        confidence_level=level,
        method="percentile",
        rng=rng,
    ).confidence_interval
    return float(interval.low), float(interval.high)


def pearson(first: Float[np.ndarray, " B"], second: Float[np.ndarray, " B"]) -> float | None:
    """Linear correlation; None where one side is constant."""
    from scipy.stats import pearsonr

    if _constant(first) or _constant(second):
        return None
    return float(pearsonr(first, second).statistic)


def spearman(first: Float[np.ndarray, " B"], second: Float[np.ndarray, " B"]) -> float | None:
    """Rank correlation with mean ranks for ties; None where one side is constant."""
    from scipy.stats import spearmanr

    if _constant(first) or _constant(second):
        return None
    return float(spearmanr(first, second).statistic)


def _constant(values: np.ndarray) -> bool:
    return len(values) < 2 or bool(np.ptp(values) == 0)
