"""How a teacher compares and ranks clips by their utilities, and errs."""

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.special import expit

from rlhf_core.judgements import Choice
from rlhf_core.teachers.rationality import same


def choose_sides(
    utilities: Float[np.ndarray, "N 2"],
    rationality: float | None,
    mistake: float,
    rng: np.random.Generator,
) -> Int[np.ndarray, " N"]:
    """A `Choice` for each pair, before any threshold.

        P(right) = sigmoid(rationality (u_right - u_left)), then reversed with probability `mistake`

    Args:
        utilities: of the left and the right clip.
        rationality: inverse temperature; None always chooses the better clip, and an exact tie is
            `EQUAL`.
        mistake: probability of the other answer.
        rng: draws answers and mistakes.
    """
    advantage = utilities[:, 1] - utilities[:, 0]
    draw, slip = rng.random((2, len(utilities)))
    if rationality is None:
        right, tie = advantage > 0, same(utilities[:, 0], utilities[:, 1])
    else:
        right = draw < expit(rationality * advantage)
        tie = np.zeros(len(utilities), dtype=bool)
    right = right ^ (slip < mistake)
    return np.where(tie, Choice.EQUAL, np.where(right, Choice.RIGHT, Choice.LEFT))


def rank_groups(
    items: Int[np.ndarray, "N K"],
    utility: Float[np.ndarray, " S"],
    places: int,
    rationality: float | None,
    mistake: float,
    rng: np.random.Generator,
) -> tuple[Int[np.ndarray, "N K"], Bool[np.ndarray, "N K"]]:
    """Groups in the order of rationality x utility + Gumbel noise (Plackett-Luce).

    A mistake exchanges two neighbouring places, of which at least one is named.

    Args:
        items: positions of the clips of each group.
        utility: of every clip.
        places: how many places are named.
        rationality: inverse temperature; None orders without noise.
        mistake: probability of a mistake in a group.
        rng: draws noise, the order of ties, and mistakes.

    Returns:
        The groups, best first, and whether a clip shares its place with the one before it: without
        noise equal clips are reported as equal, or their order would be a coin's.
    """
    noisy = utility[items]
    if rationality is not None:
        noisy = rationality * noisy + rng.gumbel(size=items.shape)
    # Ties stand in random order, not in that in which clips are shown.
    order = np.lexsort((rng.random(items.shape), -noisy), axis=1)
    ranked = np.take_along_axis(items, order, axis=1)
    mistaken = rng.random(len(items)) < mistake
    above = rng.integers(places, size=len(items))
    rows = np.flatnonzero(mistaken)
    upper, lower = ranked[rows, above[rows]], ranked[rows, above[rows] + 1]
    ranked[rows, above[rows]], ranked[rows, above[rows] + 1] = lower, upper
    value = utility[ranked]
    tied = np.zeros(ranked.shape, dtype=bool)
    if rationality is None:
        tied[:, 1:] = same(value[:, 1:], value[:, :-1])
    return ranked, tied
