"""How fast answers come, and when a campaign will end."""

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

from rlhf_core.plugin import Config

LAST = 50
"""Answers that a pace is estimated from."""
BREAK_SECONDS = 1800.0
"""A longer time between two answers is a break."""
HOUR = 3600.0
MOST_HOURS = 168
"""Hours that are counted one by one."""


class HourCount(Config):
    """Answers of one hour."""

    hour: float
    """Unix time of its beginning, in seconds."""
    answers: int


def estimated_end(times: Sequence[float], left: int, now: float) -> float | None:
    """When the missing answers will be there, at the pace of the last ones.

    The pace is that of the last 50 answers up to now, so that it falls while nobody answers.

    Args:
        times: Unix times of answers, in seconds, in any order.
        left: answers that are missing.
        now: Unix time, in seconds.

    Returns:
        Unix time, in seconds; None where none is missing, or two answers have not come yet.
    """
    last = sorted(times)[-LAST:]
    if left <= 0 or len(last) < 2 or now <= last[0]:
        return None
    return now + left * (now - last[0]) / (len(last) - 1)


def answers_an_hour(times: Sequence[float]) -> float | None:
    """Answers an hour of one annotator, breaks of more than half an hour left out.

    Args:
        times: Unix times of the answers, in seconds, in any order.

    Returns:
        None where no two answers came one after the other.
    """
    ordered = sorted(times)
    gaps = [b - a for a, b in pairwise(ordered) if b - a <= BREAK_SECONDS]
    total = sum(gaps)
    return HOUR * len(gaps) / total if total > 0 else None


def answers_by_hour(times: Sequence[float], now: float) -> list[HourCount]:
    """Answers of each hour from the first one to now, the last week at most."""
    if not times:
        return []
    counts = Counter(int(time // HOUR) for time in times)
    last = max(int(now // HOUR), max(counts))
    first = max(min(counts), last - MOST_HOURS + 1)
    return [HourCount(hour=hour * HOUR, answers=counts[hour]) for hour in range(first, last + 1)]
