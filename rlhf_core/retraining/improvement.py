"""Whether one policy returns more than another on the same start states."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from rlhf_core.comparison.statistics.interquartile import middle_count
from rlhf_core.errors import ShapeError
from rlhf_core.evaluation.statistics import interquartile_mean

RESAMPLES = 2000
"""Bootstrap resamples of the pairs."""


@dataclass(frozen=True)
class Improvement:
    """The gain of a challenger over a champion."""

    difference: float
    """Interquartile mean of the challenger's returns minus that of the champion's."""
    standard_error: float
    """Of the difference, from the bootstrap."""
    probability: float
    """One minus the one-sided p value of the hypothesis that the difference is not positive."""
    better_starts: float
    """Share of the start states on which the challenger returns more; ties count as a half."""
    episodes: int
    """Number of pairs."""

    def lower_bound(self, level: float) -> float:
        """One-sided lower bound of the difference with coverage 1 - `level`."""
        from scipy.special import stdtrit

        freedom = middle_count(self.episodes) - 1
        return self.difference + float(stdtrit(freedom, level)) * self.standard_error


def paired_improvement(
    challenger: Float[np.ndarray, " E"],
    champion: Float[np.ndarray, " F"],
    rng: np.random.Generator,
    resamples: int = RESAMPLES,
) -> Improvement:
    """Test by a one-sided bootstrap whether the challenger's interquartile mean is higher.

        d = IQM(x) - IQM(y),  probability = P(t(h - 1) <= d / se)

    se is the standard deviation of d over resamples of the *pairs* (x, y), so that what a start
    state does to both policies cancels (Efron and Tibshirani 1993, chapter 16; IQM: Agarwal et al.
    2021, https://arxiv.org/abs/2108.13264). h is the number of values in the middle half, as in
    `rlhf_core.comparison.statistics`; a studentised statistic has p values below one over the
    number of resamples, which counts of resamples have not. Where d does not vary at all, the
    probability is that of a sign test, 1 - 2^-E, and one half where d = 0.

    Args:
        challenger: x, returns, one for each start state.
        champion: y, returns on the same start states in the same order, so F = E.
        rng: draws the resamples.
        resamples: how many.

    Raises:
        ShapeError: the sides differ in length, or there are fewer than four pairs.
    """
    from scipy.special import stdtr
    from scipy.stats import trim_mean

    count = len(challenger)
    if count != len(champion) or count < 4:
        raise ShapeError(
            "paired_improvement: expected four or more returns on the same start states, actual: "
            f"{count} and {len(champion)}"
        )
    difference = interquartile_mean(challenger) - interquartile_mean(champion)
    rows = rng.integers(count, size=(resamples, count))
    draws = trim_mean(challenger[rows], 0.25, axis=1) - trim_mean(champion[rows], 0.25, axis=1)
    error = float(np.std(draws, ddof=1) * np.sqrt(count / (count - 1)))
    if error > 0:
        probability = float(stdtr(middle_count(count) - 1, difference / error))
    else:
        probability = 0.5 + float(np.sign(difference)) * (0.5 - 2.0**-count)
    gaps = challenger - champion
    better = float((gaps > 0).mean() + (gaps == 0).mean() / 2)
    return Improvement(difference, error, probability, better, count)
