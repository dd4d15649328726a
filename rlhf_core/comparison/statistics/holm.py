"""Correction for several comparisons."""

import numpy as np
from jaxtyping import Float


def holm_adjusted(p: Float[np.ndarray, " K"]) -> Float[np.ndarray, " K"]:
    """Adjust p values so that the chance of any false rejection among them stays at the level.

        p~(i) = max over j <= i of min(1, (K - j + 1) p(j)),  p(1) <= ... <= p(K)

    Holm 1979, https://www.jstor.org/stable/4615733. It needs no independence. A p value that is NaN
    stays NaN and is not counted in K.
    """
    adjusted = np.full(len(p), np.nan)
    numbers = np.flatnonzero(~np.isnan(p))
    order = numbers[np.argsort(p[numbers], kind="stable")]
    weights = np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(weights * p[order]))
    return adjusted
