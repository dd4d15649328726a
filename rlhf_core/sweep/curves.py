"""Learning curves at equal environment steps: what a run must have reached to go on.

A run is given up where its true return lies below a percentile of the other trials' with the same
seed, after as many environment steps (the median stopping rule of Golovin et al. 2017, "Google
Vizier", KDD, with another percentile). No clock has a say: the same runs are given up on a slow
machine and a fast one.
"""

from collections.abc import Mapping, Sequence

import numpy as np

Curve = Sequence[Sequence[float]]
"""Pairs of environment steps and the true return after them, in the order of the steps. Pairs may
be lists, as JSON has them."""
NEVER = float("-inf")
"""What a trial that was given up before counts as."""


def value_at(curve: Curve, steps: float) -> float:
    """The last value of a curve that was known after so many steps; minus infinity before any."""
    return next((value for after, value in reversed(curve) if after <= steps), NEVER)


def bar(
    others: Sequence[Mapping[int, Curve]], seed: int, percentile: float, first_step: int
) -> list[tuple[float, float]]:
    """What a run with a seed must reach, by environment steps.

    Args:
        others: the curves of each other trial, by seed. One that was given up before it came to the
            seed counts as worse than any.
        seed: of the run.
        percentile: of the other trials, from 0 to 100.
        first_step: the environment steps from which it must.

    Returns:
        The least true return from each number of steps on, up to the next; what is minus infinity
        is left out.
    """
    curves = [curves.get(seed, ()) for curves in others]
    steps = sorted({after for curve in curves for after, _ in curve if after >= first_step})
    return [
        (after, least)
        for after in steps
        if (least := _percentile([value_at(curve, after) for curve in curves], percentile)) > NEVER
    ]


def _percentile(values: Sequence[float], percentile: float) -> float:
    """One of the values, so that infinite ones are no trouble; the higher of two that serve."""
    return float(np.percentile(values, percentile, method="higher"))


def falls_short(curve: Curve, least: Curve) -> str | None:
    """Why a run is given up after the last point of its curve; None: it goes on.

    Args:
        curve: of the run, so far.
        least: what `bar` returned.
    """
    steps, reached = curve[-1]
    wanted = value_at(least, steps)
    if reached >= wanted:
        return None
    return (
        f"given up after {int(steps):,} environment steps: {reached:.4g}, and {wanted:.4g} was "
        "wanted"
    )
