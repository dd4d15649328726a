"""What a teacher who knows the true reward makes of clips: returns, thresholds, rationality."""

import numpy as np
from jaxtyping import Bool, Float

MOST_CLIPS = 1000
"""Reference clips of which all pairs are looked at."""
MOST_PAIRS = 20000
"""Pairs of them, evenly taken, on which a temperature is solved for."""

ROUNDING = 1e-9
"""Relative difference of two scores that are the same sum in another order."""


def discounted_returns(
    rewards: Float[np.ndarray, "S L"], mask: Bool[np.ndarray, "S L"], discount: float
) -> Float[np.ndarray, " S"]:
    """sum over t of discount^(L-1-t) r_t, counted back from the last real step of each clip."""
    age = mask[:, ::-1].cumsum(axis=1)[:, ::-1] - 1
    weights = np.where(mask, np.power(discount, np.maximum(age, 0)), 0.0)
    returns: np.ndarray = (weights * rewards).sum(axis=1)
    return returns


def random_pairs(returns: Float[np.ndarray, " Q"]) -> Float[np.ndarray, "P 2"]:
    """All pairs of the first reference clips, which are a random sample themselves."""
    some = returns[:MOST_CLIPS]
    first, second = np.triu_indices(len(some), 1)
    return np.stack([some[first], some[second]], axis=1)


def rationality_for(agreement: float, differences: Float[np.ndarray, " P"]) -> float:
    """The inverse temperature at which a teacher agrees with the true order so often.

        mean of sigmoid(beta |d|) = agreement,  over the pairs that differ

    Solved by bisection on log beta; the left side grows from 1/2 to 1. Were all pairs as far apart
    as the farthest, or as the nearest, beta would be logit(agreement) / |d|: the brackets. With no
    pair that differs any temperature does, and 1 is returned.
    """
    size = np.abs(differences[differences != 0])
    if not len(size):
        return 1.0
    size = size[:: max(1, len(size) // MOST_PAIRS)]
    logit = np.log(agreement / (1 - agreement))
    low, high = np.log(logit / size.max()), np.log(logit / size.min())
    for _ in range(50):
        middle = (low + high) / 2
        agreed = (0.5 + 0.5 * np.tanh(np.exp(middle) * size / 2)).mean()
        low, high = (middle, high) if agreed < agreement else (low, middle)
    return float(np.exp((low + high) / 2))


def quantile_margins(
    pairs: Float[np.ndarray, "P 2"], skip: float, equal: float
) -> tuple[float, float]:
    """Margins at which these shares of random pairs are skipped, and called equal.

    A pair is skipped when the better clip's return is below the first, and equal when the returns
    do not differ by more than the second. Where returns are discrete fewer may be skipped, and more
    be equal: those that tie exactly.
    """
    if not len(pairs):
        return -np.inf, -np.inf
    worst = float(np.quantile(pairs.max(axis=1), skip)) if skip else -np.inf
    near = float(np.quantile(np.abs(pairs[:, 1] - pairs[:, 0]), equal)) if equal else -np.inf
    return worst, near


def same(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Whether scores are equal but for the order in which they were summed up."""
    return np.abs(right - left) <= ROUNDING * np.maximum(np.abs(left), np.abs(right))


def published_margin(
    episodes: Float[np.ndarray, " E"], steps: int, horizon: float, threshold: float
) -> float:
    """B-Pref's margin: (mean of the last 10 true episode returns) x L / H x threshold.

    It does nothing where returns are negative, as the authors' code does: a margin counts only
    above 0.
    """
    if not threshold or not len(episodes):
        return -np.inf
    margin = float(episodes[-10:].mean() * steps / horizon * threshold)
    return margin if margin > 0 else -np.inf
