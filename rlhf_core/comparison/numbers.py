"""Numbers as people read them."""

import math


def decimals_for(*values: float) -> int:
    """Digits after the point that show about three figures of the largest of some numbers."""
    largest = max((abs(value) for value in values if math.isfinite(value)), default=0.0)
    if largest >= 10 or largest == 0:
        return 0
    return min(6, max(1, 1 - math.floor(math.log10(largest))))


def plain(value: float, decimals: int | None = None, missing: str = "-") -> str:
    """Write a number with so many decimals, by default about three figures.

    A missing number is a dash, one beyond all bounds "more than 1,000" (it is a count of seeds).
    """
    if value != value:
        return missing
    if math.isinf(value):
        return "more than 1,000"
    text = f"{value:.{decimals_for(value) if decimals is None else decimals}f}"
    return text[1:] if text.startswith("-") and not text.strip("-0.") else text


def with_interval(value: float, low: float, high: float, decimals: int | None = None) -> str:
    """Write a number and its interval as `34 (12 to 61)`, or alone where there is no interval."""
    digits = decimals_for(value, low, high) if decimals is None else decimals
    if low != low or high != high:
        return plain(value, digits)
    return f"{plain(value, digits)} ({plain(low, digits)} to {plain(high, digits)})"


def plural(count: float, noun: str) -> str:
    """Write a count and its noun: `1 seed`, `2 seeds`."""
    return f"{plain(count, 0)} {noun}{'' if count == 1 else 's'}"
