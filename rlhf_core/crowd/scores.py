"""Scores of items from comparisons of pairs: Bradley-Terry with a Gaussian prior."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float, Int
from scipy.sparse.linalg import LinearOperator, cg
from scipy.special import expit


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
    std: float,
    steps: int,
) -> Float[np.ndarray, " S"]:
    """Increase the penalised Bradley-Terry likelihood of scores; no step decreases it.

        sum over pairs of weight (target log sigma(d) + (1 - target) log sigma(-d))
            - |score|^2 / (2 std^2),    d = score_right - score_left

    Each step goes to the maximum of a parabola that touches the logistic likelihood at d and is a
    lower bound of it: curvature tanh(d / 2) / (2 d) (https://doi.org/10.1023/A:1008932416310).

    Args:
        score: where to start.
        pair: left and right position.
        target: P(right), in [0, 1].
        weight: number of judgements of each pair, >= 0.
        std: prior standard deviation of a score.
        steps: how many.

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
        gradient = scatter(weight * (target - expit(gap))) - score / std**2
        wide = np.abs(gap) > 1e-6
        safe = np.where(wide, gap, 1.0)
        curvature = weight * np.where(wide, np.tanh(safe / 2) / (2 * safe), 0.25)
        score = score + _solve(pair, curvature, 1 / std**2, gradient, scatter)
    return score


def fit_scores(
    pair: Int[np.ndarray, "N 2"],
    target: Float[np.ndarray, " N"],
    weight: Float[np.ndarray, " N"],
    std: float,
    count: int,
) -> Float[np.ndarray, " S"]:
    """Scores of `count` items that maximise the likelihood of `improve_scores`."""
    return improve_scores(np.zeros(count), pair, target, weight, std, steps=50)


def _solve(
    pair: Int[np.ndarray, "N 2"],
    curvature: Float[np.ndarray, " N"],
    ridge: float,
    gradient: Float[np.ndarray, " S"],
    scatter: Callable[[np.ndarray], np.ndarray],
) -> Float[np.ndarray, " S"]:
    """Solve (ridge + A' diag(curvature) A) step = gradient by conjugate gradients."""
    count = len(gradient)
    matrix = LinearOperator(
        (count, count),
        lambda step: ridge * step + scatter(curvature * difference(step, pair)),
        dtype=np.float64,
    )
    step: np.ndarray = cg(matrix, gradient, rtol=1e-5, maxiter=100)[0]
    return step
