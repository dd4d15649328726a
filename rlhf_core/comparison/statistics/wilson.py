"""Interval of a proportion."""

import numpy as np

from rlhf_core.comparison.statistics.interquartile import UNKNOWN, Interval


def wilson_interval(successes: int, trials: int, level: float = 0.95) -> Interval:
    """Interval of a proportion by Wilson's score method.

        (p + z^2 / 2n +- z sqrt(p (1 - p) / n + z^2 / 4n^2)) / (1 + z^2 / n)

    p is the observed proportion and z the normal quantile at (1 + level) / 2. It keeps its coverage
    at proportions of 0 and 1 and with few trials. Wilson 1927, https://doi.org/10.2307/2276774.

    Args:
        successes: number of them, at most `trials`.
        trials: number of seeds.
        level: nominal coverage, in (0, 1).

    Returns:
        The interval within [0, 1]; NaN at both ends without a trial.
    """
    from scipy.special import ndtri

    if trials == 0:
        return UNKNOWN
    z = float(ndtri((1 + level) / 2))
    share = successes / trials
    centre = share + z**2 / (2 * trials)
    half = z * np.sqrt(share * (1 - share) / trials + z**2 / (4 * trials**2))
    scale = 1 + z**2 / trials
    low = 0.0 if successes == 0 else float((centre - half) / scale)
    high = 1.0 if successes == trials else float((centre + half) / scale)
    return Interval(low, high)
