"""Scores of items from pairs, by Bradley and Terry, with a Gaussian prior."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float, Int


def sigmoid(x: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
    """1 / (1 + exp(-x)) without overflow."""
    return 0.5 + 0.5 * np.tanh(x / 2)


def difference(
    score: Float[np.ndarray, " S"], pair: Int[np.ndarray, "N 2"]
) -> Float[np.ndarray, " N"]:
    """Score of the right item less score of the left one."""
    return score[pair[:, 1]] - score[pair[:, 0]]


def improve_scores(
    score: Float[np.ndarray, " S"],
    pair: Int[np.ndarray, "N 2"],
    target: Float[np.ndarray, " N"],
    weight: Float[np.ndarray, " N"],
    spread: float,
    steps: int,
) -> Float[np.ndarray, " S"]:
    """A better maximiser of a Bradley-Terry likelihood; never a worse one.

        sum over pairs of weight (target log sigma(d) + (1 - target) log sigma(-d))
            - |score|^2 / (2 spread^2),    d = score_right - score_left

    Each step goes to the top of a parabola that touches the logistic likelihood at d and lies
    below it everywhere: curvature tanh(d / 2) / (2 d) (https://doi.org/10.1023/A:1008932416310).

    Args:
        score: where to start.
        pair: left and right position.
        target: P(right), in [0, 1].
        weight: how often each pair was judged, >= 0.
        spread: standard deviation of a score before anything was seen.
        steps: parabolas.

    Returns:
        Scores (S,).
    """
    left, right = pair.T
    count = len(score)

    def scatter(of_pairs: Float[np.ndarray, " N"]) -> Float[np.ndarray, " S"]:
        # Of no pairs NumPy counts in integers.
        gained, lost = (np.bincount(side, of_pairs, count) for side in (right, left))
        return (gained - lost).astype(np.float64)

    for _ in range(steps):
        gap = difference(score, pair)
        slope = scatter(weight * (target - sigmoid(gap))) - score / spread**2
        wide = np.abs(gap) > 1e-6
        safe = np.where(wide, gap, 1.0)
        curve = weight * np.where(wide, np.tanh(safe / 2) / (2 * safe), 0.25)
        score = score + _solve(pair, curve, 1 / spread**2, slope, scatter)
    return score


def fit_scores(
    pair: Int[np.ndarray, "N 2"],
    target: Float[np.ndarray, " N"],
    weight: Float[np.ndarray, " N"],
    spread: float,
    count: int,
) -> Float[np.ndarray, " S"]:
    """Scores of `count` items that maximise the likelihood of `improve_scores`."""
    return improve_scores(np.zeros(count), pair, target, weight, spread, steps=50)


def _solve(
    pair: Int[np.ndarray, "N 2"],
    curve: Float[np.ndarray, " N"],
    ridge: float,
    slope: Float[np.ndarray, " S"],
    scatter: Callable[[np.ndarray], np.ndarray],
) -> Float[np.ndarray, " S"]:
    """Conjugate gradients for (ridge + A' diag(curve) A) step = slope."""
    step = np.zeros_like(slope)
    residual, along = slope, slope
    size = residual @ residual
    enough = 1e-10 * size
    for _ in range(100):
        if size <= enough:
            break
        bent = ridge * along + scatter(curve * difference(along, pair))
        length = size / (along @ bent)
        step = step + length * along
        residual = residual - length * bent
        size, before = residual @ residual, size
        along = residual + size / before * along
    return step
