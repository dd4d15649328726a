"""Curves of a run: the area under them and their values in between."""

import numpy as np
from jaxtyping import Float


def latest_values(
    x: Float[np.ndarray, " R"], y: Float[np.ndarray, " R"]
) -> tuple[Float[np.ndarray, " P"], Float[np.ndarray, " P"]]:
    """Sort a curve and keep the last of several values at the same x.

    Several rounds can end at the same number of labels, once the budget is spent: the last is what
    the labels led to.
    """
    order = np.argsort(x, kind="stable")
    x, y = x[order], y[order]
    last = np.append(x[1:] != x[:-1], True)
    return x[last], y[last]


def area_under_curve(
    x: Float[np.ndarray, " P"], y: Float[np.ndarray, " P"], start: float, end: float
) -> float:
    """Mean height of a curve between two points: its area by trapezoids over the width.

        A = 1 / (end - start) * integral from start to end of y(x) dx

    y is linear between its points. It has the unit of y, so that early learning shows as a higher
    number: the "area under the learning curve" of Machado et al. 2018,
    https://arxiv.org/abs/1709.06009, over a common budget.

    Args:
        x: increasing.
        y: at each x.
        start: at least `x[0]`.
        end: at most `x[-1]`, above `start`.

    Returns:
        The mean height; NaN where `end` is not above `start`.
    """
    if not end > start:
        return float("nan")
    inner = x[(x > start) & (x < end)]
    grid = np.concatenate([[start], inner, [end]])
    return float(np.trapezoid(np.interp(grid, x, y), grid) / (end - start))
