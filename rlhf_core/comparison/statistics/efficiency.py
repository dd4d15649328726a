"""Gain in return for each label, or for each unit of cost."""

import numpy as np
from jaxtyping import Float


def gain_per_unit(
    returns: Float[np.ndarray, " S"],
    first_returns: Float[np.ndarray, " S"],
    amount: Float[np.ndarray, " S"],
) -> Float[np.ndarray, " S"]:
    """Return gained over the untrained policy for each label, or for each unit of cost.

        gain = (return - first return) / amount

    A plain quotient of return and labels would favour few labels where returns are negative.
    NaN where the amount is 0.
    """
    divisor = np.where(amount > 0, amount, np.nan)
    return np.asarray((returns - first_returns) / divisor)
