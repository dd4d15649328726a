"""Returns, thresholds and rationality of a simulated teacher, who knows the true reward."""

import numpy as np
from jaxtyping import Bool, Float
from scipy.special import expit

MOST_CLIPS = 1000
"""Reference clips of which all pairs are used."""
MOST_PAIRS = 20000
"""Largest number of these pairs, evenly spaced, from which a temperature is computed."""

ROUNDING = 1e-9
"""Largest relative difference of two scores that count as equal: sums in different orders."""


def discounted_returns(
    rewards: Float[np.ndarray, "S L"], mask: Bool[np.ndarray, "S L"], discount: float
) -> Float[np.ndarray, " S"]:
    """sum over t of discount^(L-1-t) r_t, counted back from the last real step of each clip."""
    age = mask[:, ::-1].cumsum(axis=1)[:, ::-1] - 1
    weights = np.where(mask, np.power(discount, np.maximum(age, 0)), 0.0)
    returns: np.ndarray = (weights * rewards).sum(axis=1)
    return returns


def random_pairs(returns: Float[np.ndarray, " Q"]) -> Float[np.ndarray, "P 2"]:
    """Returns of all pairs of the first reference clips, which are a random sample."""
    some = returns[:MOST_CLIPS]
    first, second = np.triu_indices(len(some), 1)
    return np.stack([some[first], some[second]], axis=1)


def rationality_for(agreement: float, differences: Float[np.ndarray, " P"]) -> float:
    """Compute the inverse temperature at which a teacher agrees with the true order this often.

        mean of sigmoid(beta |d|) = agreement,  over the pairs that differ

    It is solved for log beta by Brent's method; the left side grows from 1/2 to 1. The brackets are
    logit(agreement) / |d| for the largest and the smallest |d|. Where no pair differs, every
    temperature satisfies the equation, and 1 is returned.
    """
    # Half a second, which most runs need not spend.
    from scipy.optimize import brentq

    size = np.abs(differences[differences != 0])
    if not len(size):
        return 1.0
    size = size[:: max(1, len(size) // MOST_PAIRS)]
    logit = np.log(agreement / (1 - agreement))
    low, high = np.log(logit / size.max()), np.log(logit / size.min())
    if not low < high:
        return float(np.exp(low))

    def excess(log_rationality: float) -> float:
        return float(expit(np.exp(log_rationality) * size).mean()) - agreement

    # A bracket may miss the root by rounding.
    return float(np.exp(brentq(excess, low - 1e-6, high + 1e-6)))


def quantile_margins(
    pairs: Float[np.ndarray, "P 2"], skip: float, equal: float
) -> tuple[float, float]:
    """Compute the margins at which these shares of random pairs are skipped and called equal.

    A pair is skipped when the larger of its returns is below the first margin, and called equal
    when the returns do not differ by more than the second. With discrete returns, which tie
    exactly, fewer pairs may be skipped and more called equal.
    """
    if not len(pairs):
        return -np.inf, -np.inf
    worst = float(np.quantile(pairs.max(axis=1), skip)) if skip else -np.inf
    near = float(np.quantile(np.abs(pairs[:, 1] - pairs[:, 0]), equal)) if equal else -np.inf
    return worst, near


def same(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Whether scores are equal up to rounding of their sums."""
    return np.abs(right - left) <= ROUNDING * np.maximum(np.abs(left), np.abs(right))


def published_margins(
    episodes: Float[np.ndarray, " E"], steps: int, horizon: float, skip: float, equal: float
) -> tuple[float, float]:
    """B-Pref's margins: (mean of the last 10 true episode returns) x L / H x threshold.

    As in the authors' code, only a margin above 0 has an effect, so none does where returns are
    negative; a pair is skipped unless it is above the one margin, and equal only below the other.

    Returns:
        Return below which a pair is skipped, and difference up to which it is equal.
    """
    skip, equal = (_published_margin(episodes, steps, horizon, part) for part in (skip, equal))
    return float(np.nextafter(skip, np.inf)), float(np.nextafter(equal, -np.inf))


def _published_margin(episodes: np.ndarray, steps: int, horizon: float, threshold: float) -> float:
    if not threshold or not len(episodes):
        return -np.inf
    margin = float(episodes[-10:].mean() * steps / horizon * threshold)
    return margin if margin > 0 else -np.inf
