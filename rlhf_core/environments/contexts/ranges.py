"""Ranges of parameters, and uniform draws from them."""

import math
from collections.abc import Mapping
from itertools import pairwise

import numpy as np
from jaxtyping import Float

Interval = tuple[float, float]
ContextRange = float | Interval | tuple[Interval, ...]
"""A number; an interval (low, high); or several intervals, from whose union is drawn."""


def intervals(range: ContextRange) -> tuple[Interval, ...]:
    """Return the intervals of a range; a number is one without length."""
    if isinstance(range, (int, float)):
        return ((float(range), float(range)),)
    if isinstance(range[0], (int, float)):
        low, high = range
        return ((low, high),)
    return range


def check_ranges(ranges: Mapping[str, ContextRange]) -> None:
    """Raise `ValueError` where a range is empty, runs downwards, overlaps or is not finite."""
    for name, range in ranges.items():
        if not isinstance(range, (int, float)) and not range:
            raise ValueError(f"contexts.{name}: expected at least one interval, actual: none")
        parts = intervals(range)
        if not all(math.isfinite(bound) for part in parts for bound in part):
            raise ValueError(f"contexts.{name}: expected finite numbers, actual: {range}")
        if any(low > high for low, high in parts):
            raise ValueError(
                f"contexts.{name}: expected intervals [low, high] with low <= high, actual: {range}"
            )
        ordered = sorted(parts)
        if any(high > low for (_, high), (low, _) in pairwise(ordered)):
            raise ValueError(
                f"contexts.{name}: expected intervals without overlap, actual: {range}"
            )


def bounds(range: ContextRange) -> Interval:
    """Return the least and the greatest number of a range."""
    parts = intervals(range)
    return min(low for low, _ in parts), max(high for _, high in parts)


def draw(
    ranges: Mapping[str, ContextRange], rng: np.random.Generator, count: int
) -> Float[np.ndarray, "count C"]:
    """Draw contexts uniformly; from several intervals, each by its length.

    One number is drawn for each parameter in the order of `ranges`, contexts one after another, so
    that the first of many contexts is what a generator in the same state gives alone.

    Args:
        ranges: C ranges by the names of the parameters.
        rng: the source of randomness.
        count: contexts.
    """
    shares = rng.random((count, len(ranges)))
    columns = [_at(range, share) for range, share in zip(ranges.values(), shares.T, strict=True)]
    return np.stack(columns, axis=1)


def _at(range: ContextRange, shares: Float[np.ndarray, " count"]) -> Float[np.ndarray, " count"]:
    """The numbers that lie at shares of a range's length."""
    low, high = np.array(intervals(range)).T
    ends = np.cumsum(high - low)
    if ends[-1] == 0:
        # Intervals without length are numbers, of which each is as likely.
        return low[np.minimum((shares * len(low)).astype(int), len(low) - 1)]
    along = shares * ends[-1]
    which = np.minimum(np.searchsorted(ends, along, side="right"), len(ends) - 1)
    return low[which] + along - (ends - (high - low))[which]
