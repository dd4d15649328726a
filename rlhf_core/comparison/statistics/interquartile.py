"""Interval of the interquartile mean, by Student's t on Winsorised values."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from rlhf_core.evaluation.statistics import interquartile_mean

SINGLE_CALIBRATION = 0.8
"""Share of the miss probability at which the quantile of Student's t is taken, for one mean.

Measured with `benchmarks/coverage.py`: without it the interval covers 92 to 95 % at ten seeds.
"""


@dataclass(frozen=True)
class Interval:
    """Lower and upper end; both are NaN where the seeds are too few to know."""

    low: float
    high: float


UNKNOWN = Interval(float("nan"), float("nan"))


def middle_count(count: int) -> int:
    """Number of values that the interquartile mean averages: h = n - 2 floor(n / 4)."""
    return count - 2 * (count // 4)


def winsorise(values: Float[np.ndarray, " S"]) -> Float[np.ndarray, " S"]:
    """Replace the lowest and the highest quarter by the nearest value that stays, in place of
    order.

    With n values, floor(n / 4) are replaced at each end, those that the interquartile mean drops.
    """
    cut = len(values) // 4
    ordered = np.sort(values)
    clipped: np.ndarray = np.clip(values, ordered[cut], ordered[len(values) - cut - 1])
    return clipped


def squared_error(winsorised: Float[np.ndarray, " S"]) -> float:
    """Squared standard error of an interquartile mean.

        se^2 = (n - 1) s_w^2 / (h (h - 1))

    s_w^2 is the sample variance of the Winsorised values and h the number of values in the middle
    (Yuen 1974, https://doi.org/10.1093/biomet/61.1.165).

    Args:
        winsorised: values, or paired differences of values, at least two.
    """
    count = len(winsorised)
    middle = middle_count(count)
    return float((count - 1) * np.var(winsorised, ddof=1) / (middle * (middle - 1)))


def critical_value(freedom: float, level: float, calibration: float) -> float:
    """Quantile of Student's t at 1 - calibration (1 - level) / 2."""
    from scipy.special import stdtrit

    return float(stdtrit(freedom, 1 - calibration * (1 - level) / 2))


def interquartile_interval(values: Float[np.ndarray, " S"], level: float = 0.95) -> Interval:
    """Interval of the interquartile mean of a population, from a few independent draws.

        IQM +- t(h - 1) se

    Tukey and McLaughlin 1963, https://www.jstor.org/stable/25049278, with Yuen's standard error
    (`squared_error`) and a calibrated quantile (`critical_value`). The interval has no width where
    the middle half of the seeds is equal, whatever the others did. Measured coverage in per cent,
    nominal 95, on normal, skewed, heavy-tailed and partly failing returns
    (`benchmarks/coverage.py`):

        seeds       this interval            percentile bootstrap
        5           94.3 93.4 96.5 95.2      89.5 89.7 90.0 89.6
        10          94.8 93.9 95.9 95.8      92.2 92.2 94.0 94.2
        20          95.7 94.8 95.5 95.7      94.2 93.9 94.7 93.7

    Args:
        values: one number for each seed.
        level: nominal coverage, in (0, 1).

    Returns:
        The interval; NaN at both ends with fewer than two values.
    """
    if len(values) < 2:
        return UNKNOWN
    centre = interquartile_mean(values)
    error = np.sqrt(squared_error(winsorise(values)))
    half = critical_value(middle_count(len(values)) - 1, level, SINGLE_CALIBRATION) * error
    return Interval(float(centre - half), float(centre + half))
