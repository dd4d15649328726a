"""Number of seeds that would settle the difference of two cells."""

from rlhf_core.comparison.statistics.difference import (
    Difference,
    least_permutation_p,
    least_sign_flip_p,
)
from rlhf_core.comparison.statistics.interquartile import critical_value, middle_count

MOST_SEEDS = 1000


def seeds_needed(difference: Difference, alpha: float = 0.05, power: float = 0.8) -> int | None:
    """Least number of seeds of each cell with which the difference would probably be significant.

    By formula: were the observed difference d and the observed spread the true ones, the test of
    n seeds would be significant with probability

        P(|T| > t),  T ~ noncentral t with f degrees of freedom, noncentrality d sqrt(n) / tau

    where tau^2 = se^2 times the seeds of today, f = h(n) - 1 for pairs and twice that otherwise,
    and t is the quantile of the test (Cohen 1988, chapter 2, with Yuen's standard error). The least
    n with at least `power` is returned; where tau is 0, the least n whose least p value
    (`least_sign_flip_p` for pairs, otherwise `least_permutation_p`) is below `alpha`. It is an
    estimate: a significant difference of few seeds is larger than the true one more often than not,
    so more seeds than these may turn out to be needed.

    Args:
        difference: of today's seeds.
        alpha: level of the test, after any correction for several comparisons.
        power: probability to be reached.

    Returns:
        The number, or None where it is above 1,000, or unknown with fewer than two seeds.
    """
    if not difference.standard_error >= 0 or difference.value == 0:
        return None
    tau = difference.standard_error * difference.seeds**0.5
    low, high = 1, 2
    while not _reaches_power(difference, tau, high, alpha, power):
        low, high = high, 2 * high
        if high > 2 * MOST_SEEDS:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        if _reaches_power(difference, tau, middle, alpha, power):
            high = middle
        else:
            low = middle
    return high if high <= MOST_SEEDS else None


def _reaches_power(
    difference: Difference, tau: float, seeds: int, alpha: float, power: float
) -> bool:
    from scipy.special import nctdtr

    if tau == 0:
        p = least_sign_flip_p(seeds) if difference.paired else least_permutation_p(seeds, seeds)
        return bool(p < alpha)
    freedom = (middle_count(seeds) - 1) * (1 if difference.paired else 2)
    critical = critical_value(freedom, 1 - alpha, difference.calibration)
    shift = abs(difference.value) * seeds**0.5 / tau
    # The chance of significance in the wrong direction is left out: it is negligible here.
    return bool(1 - nctdtr(freedom, shift, critical) >= power)
