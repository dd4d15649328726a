"""Probability that a run of one cell is better than a run of another."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float

from rlhf_core.comparison.statistics.interquartile import UNKNOWN, Interval


def probability_of_improvement(
    first: Float[np.ndarray, " S"], second: Float[np.ndarray, " T"]
) -> float:
    """Probability that a run of the first cell returns more than a run of the second.

        P = P(X > Y) + P(X = Y) / 2

    over all pairs of runs: the statistic of Mann and Whitney divided by S T (Agarwal et al. 2021,
    https://arxiv.org/abs/2108.13264). NaN where a side has no run.
    """
    if not len(first) or not len(second):
        return float("nan")
    gaps = first[:, None] - second[None, :]
    return float((gaps > 0).mean() + (gaps == 0).mean() / 2)


def improvement_interval(
    probability: float, first_runs: int, second_runs: int, level: float = 0.95
) -> Interval:
    """Score interval of the probability of improvement.

    The ends are the two solutions P of

        (p - P)^2 = z^2 P (1 - P) (1 + N ((1 - P) / (2 - P) + P / (1 + P))) / (S T)

    where p is the observed probability and N = (S + T) / 2 - 1: method 5 of Newcombe 2006,
    https://doi.org/10.1002/sim.2324. Like Wilson's interval it has a width at p = 1, where a
    bootstrap has none. Measured coverage at a nominal 95 %: 94 to 97 % with five to twenty runs a
    side.

    Args:
        probability: observed, in [0, 1].
        first_runs: S.
        second_runs: T.
        level: nominal coverage, in (0, 1).

    Returns:
        The interval within [0, 1]; NaN at both ends where a side has fewer than two runs.
    """
    from scipy.special import ndtri

    if min(first_runs, second_runs) < 2:
        return UNKNOWN
    z = float(ndtri((1 + level) / 2))
    extra = (first_runs + second_runs) / 2 - 1

    def excess(p: float) -> float:
        variance = p * (1 - p) * (1 + extra * ((1 - p) / (2 - p) + p / (1 + p)))
        return float((probability - p) ** 2 - z**2 * variance / (first_runs * second_runs))

    return Interval(
        _outer_root(excess, inner=probability, outer=0.0),
        _outer_root(excess, inner=probability, outer=1.0),
    )


def _outer_root(excess: Callable[[float], float], inner: float, outer: float) -> float:
    """Bisect between a point inside the interval and the end of the scale, which is outside."""
    if inner == outer:
        return outer
    for _ in range(60):
        middle = (inner + outer) / 2
        if excess(middle) > 0:
            outer = middle
        else:
            inner = middle
    return (inner + outer) / 2
