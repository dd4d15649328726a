"""Propensities of positions, estimated by an intervention: items swap places at random.

Clicks at position k are fewer than at the top for two reasons: fewer users look there, and worse
items stand there. Where the item at the top and the one at position k change places in half of all
slates, both positions hold the same items on average, and only the first reason is left (Joachims
et al. 2017, section 5.1, https://arxiv.org/abs/1608.04468):

    theta_k / theta_1 = clicks at k / clicks at 1, over the slates that could be swapped at (1, k)
"""

import numpy as np
from jaxtyping import Bool, Float, Int

from rlhf_core.errors import ConfigurationError


def swapped(
    slates: Int[np.ndarray, "B K"], rng: np.random.Generator
) -> tuple[Int[np.ndarray, "B K"], Int[np.ndarray, " B"]]:
    """Swap the item at the top with that of a random other position, in half of all slates.

    Returns:
        The slates, and the position k, from 1, with which each could have been swapped.
    """
    count, positions = slates.shape
    partner = rng.integers(1, positions, size=(count,))
    rows = np.flatnonzero(rng.random(count) < 0.5)
    after = slates.copy()
    after[rows, 0] = slates[rows, partner[rows]]
    after[rows, partner[rows]] = slates[rows, 0]
    return after, partner


def estimated(
    clicked: Bool[np.ndarray, "B K"], partner: Int[np.ndarray, " B"]
) -> Float[np.ndarray, " K"]:
    """Estimate the propensity of every position, relative to the top, which is 1.

    Args:
        clicked: at each position of each slate.
        partner: position with which the top could have been swapped, from `swapped`.

    Raises:
        ConfigurationError: a position or its partner was never clicked.
    """
    positions = clicked.shape[1]
    below = np.arange(1, positions)
    pair = partner[:, None] == below
    at_top = (pair & clicked[:, :1]).sum(axis=0)
    at_below = (pair & clicked[:, 1:]).sum(axis=0)
    if not (at_top.all() and at_below.all()):
        raise ConfigurationError(
            "annotator.impressions: expected clicks at every position, to estimate how often it is "
            f"examined, actual: {at_below.tolist()} at positions 2 to {positions} and "
            f"{at_top.tolist()} at the top; use more"
        )
    return np.concatenate([[1.0], at_below / at_top])
