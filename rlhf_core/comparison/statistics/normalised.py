"""Scores between the random policy and the true reward."""

import numpy as np
from jaxtyping import Float


def normalised_score(
    returns: Float[np.ndarray, " S"], random: float, reference: float
) -> Float[np.ndarray, " S"]:
    """Put returns on a scale where the random policy is 0 and the reference is 1.

        score = (return - random) / (reference - random)

    Mnih et al. 2015, https://doi.org/10.1038/nature14236, with the policy that was trained on the
    true reward in the place of the human. NaN where the reference is no better than the random
    policy.
    """
    if not reference > random:
        return np.full(len(returns), np.nan)
    return np.asarray((returns - random) / (reference - random))


def optimality_gap(scores: Float[np.ndarray, " S"], target: float = 1.0) -> float:
    """Mean shortfall from a target; values above the target count as the target.

        gap = target - mean(min(score, target))

    Agarwal et al. 2021, https://arxiv.org/abs/2108.13264. 0 is best; the true reward itself has a
    small gap, because half its seeds are below its middle.
    """
    return float(target - np.minimum(scores, target).mean())
