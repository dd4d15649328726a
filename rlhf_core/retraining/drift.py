"""Whether two samples come from one distribution: of observations, or of annotators' answers.

Two numbers a feature: the population stability index, which tells how large a change is, and the
p value of a two-sample test, corrected for the number of features, which tells whether it is one.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from rlhf_core.comparison.statistics.holm import holm_adjusted
from rlhf_core.errors import ShapeError

BINS = 10
"""Quantile bins of a feature, as is usual for the stability index."""
LARGE = 0.25
"""A stability index above it is called a large change (Siddiqi 2006, Credit Risk Scorecards)."""


@dataclass(frozen=True)
class Drift:
    """The change of each of K features between two samples."""

    names: tuple[str, ...]
    stability: Float[np.ndarray, " K"]
    """Population stability index of each feature, >= 0."""
    p: Float[np.ndarray, " K"]
    """Adjusted by Holm's method for K tests."""

    @property
    def largest(self) -> float:
        """The largest stability index; 0 without features."""
        return float(self.stability.max(initial=0.0))

    @property
    def least_p(self) -> float:
        """The smallest adjusted p value; 1 without features."""
        return float(self.p.min(initial=1.0))

    def changed(self, level: float, limit: float = LARGE) -> list[str]:
        """Features whose change is both significant and large."""
        both = (self.p < level) & (self.stability > limit)
        return [name for name, is_changed in zip(self.names, both, strict=True) if is_changed]


def population_stability_index(
    reference: Int[np.ndarray, " K"], sample: Int[np.ndarray, " J"]
) -> float:
    """Symmetric divergence of two histograms.

        PSI = sum over k of (q_k - p_k) ln(q_k / p_k),
        p_k = (n_k + 1/2) / (n + K/2),  q_k = (m_k + 1/2) / (m + K/2)

    Half a count in each bin keeps empty ones finite. Without a change its mean is about
    (K - 1) (1/n + 1/m) (Yurdakul and Naranjo 2020, https://doi.org/10.21314/JRMV.2020.227).

    Args:
        reference: n_k, counts.
        sample: m_k, counts in the same bins, so J = K.

    Raises:
        ShapeError: the histograms differ in length.
    """
    if reference.shape != sample.shape:
        raise ShapeError(
            f"population_stability_index: expected histograms of equal length, actual: "
            f"{len(reference)} and {len(sample)} bins"
        )
    p, q = ((n + 0.5) / (n.sum() + 0.5 * len(n)) for n in (reference, sample))
    return float(((q - p) * np.log(q / p)).sum())


def quantile_histograms(
    reference: Float[np.ndarray, " n"], sample: Float[np.ndarray, " m"], bins: int = BINS
) -> tuple[Int[np.ndarray, " K"], Int[np.ndarray, " K"]]:
    """Counts of both samples in bins between quantiles of the reference.

    Equal quantiles give one bin, so K <= `bins` + 1; a bin is closed at its lower end.
    """
    edges = np.unique(np.quantile(reference, np.linspace(0, 1, bins + 1)[1:-1]))
    first, second = (
        np.bincount(np.searchsorted(edges, values, side="right"), minlength=len(edges) + 1)
        for values in (reference, sample)
    )
    return first, second


def feature_drift(
    reference: Float[np.ndarray, "n K"],
    sample: Float[np.ndarray, "m J"],
    names: tuple[str, ...] | None = None,
) -> Drift:
    """Compare each column by the test of Kolmogorov and Smirnov.

    Massey 1951, https://doi.org/10.1080/01621459.1951.10500769; p values adjusted as Holm 1979,
    https://www.jstor.org/stable/4615733. The rows of a sample must be independent: one observation
    of an episode, not all of them.

    Args:
        reference: rows of K numbers, at least one.
        sample: rows of the same K numbers, at least one, so J = K.
        names: of the columns; their numbers else.

    Raises:
        ShapeError: the samples have different columns.
    """
    from scipy.stats import ks_2samp

    if reference.ndim != 2 or sample.ndim != 2 or reference.shape[1] != sample.shape[1]:
        raise ShapeError(
            f"feature_drift: expected rows of the same features, actual: {reference.shape} and "
            f"{sample.shape}"
        )
    count = reference.shape[1]
    stability, p = np.zeros(count), np.ones(count)
    for column in range(count):
        before, after = reference[:, column], sample[:, column]
        stability[column] = population_stability_index(*quantile_histograms(before, after))
        p[column] = ks_2samp(before, after, method="asymp").pvalue
    labels = tuple(map(str, range(count))) if names is None else names
    return Drift(labels, stability, holm_adjusted(p))


def category_drift(reference: Int[np.ndarray, " K"], sample: Int[np.ndarray, " K"]) -> float:
    """Return the p value of the chi-squared test of homogeneity of two histograms.

        X^2 = sum over cells of (observed - expected)^2 / expected,  K - 1 degrees of freedom

    Pearson 1900, https://doi.org/10.1080/14786440009463897, without a correction for continuity.
    Categories that neither side has do not count; 1 where fewer than two are left.
    """
    from scipy.special import chdtrc

    table = np.stack([reference, sample]).astype(np.float64)
    table = table[:, table.sum(axis=0) > 0]
    if table.shape[1] < 2 or not table.sum(axis=1).all():
        return 1.0
    expected = table.sum(axis=1, keepdims=True) * table.sum(axis=0) / table.sum()
    statistic = ((table - expected) ** 2 / expected).sum()
    return float(chdtrc(table.shape[1] - 1, statistic))
