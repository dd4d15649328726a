"""Comparisons of two cells of one task, and of every pair of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from rlhf_core.comparison.statistics.difference import (
    Difference,
    independent_difference,
    paired_difference,
)
from rlhf_core.comparison.statistics.holm import holm_adjusted
from rlhf_core.comparison.statistics.improvement import (
    improvement_interval,
    probability_of_improvement,
)
from rlhf_core.comparison.statistics.interquartile import Interval
from rlhf_core.comparison.statistics.power import seeds_needed

if TYPE_CHECKING:
    from pandas import DataFrame

Returns = Mapping[int, float]
"""True return by seed, of the finished runs of one cell."""


@dataclass(frozen=True)
class Pair:
    """Two cells of one task, the first against the second."""

    difference: Difference
    improvement: float
    improvement_interval: Interval


@dataclass(frozen=True)
class Verdict:
    """What a pair amounts to among all comparisons that were made with it."""

    adjusted_p: float
    settled: bool
    """Whether the adjusted p value is below the level of the comparison."""
    seeds_needed: float
    """Seeds of each cell that would probably tell the two apart; infinite above 1,000."""
    more_seeds: float
    """As above, beyond those played; 0 where the pair is settled."""


def compare_cells(first: Returns, second: Returns, level: float) -> Pair:
    """Compare two cells, in pairs where at least half of the smaller side's seeds are common."""
    common = sorted(set(first) & set(second))
    sides = [np.array(list(returns.values()), dtype=np.float64) for returns in (first, second)]
    if len(common) >= 2 and 2 * len(common) >= min(len(first), len(second)):
        difference = paired_difference(
            np.array([first[seed] for seed in common]),
            np.array([second[seed] for seed in common]),
            level,
        )
    else:
        difference = independent_difference(sides[0], sides[1], level)
    improvement = probability_of_improvement(sides[0], sides[1])
    ends = improvement_interval(improvement, len(sides[0]), len(sides[1]), level)
    return Pair(difference, improvement, ends)


def judge(pairs: Sequence[Pair], level: float) -> list[Verdict]:
    """Correct the p values of one family of comparisons (Holm) and say what is settled.

    The seeds needed are those at which the same correction would still let the pair pass.
    """
    p = np.array([pair.difference.p for pair in pairs], dtype=np.float64)
    adjusted = holm_adjusted(p)
    # Holm multiplies the r-th smallest by K - r; the value itself is cut off at 1.
    known = np.count_nonzero(~np.isnan(p))
    factors = known - np.argsort(np.argsort(p, kind="stable"), kind="stable")
    verdicts = []
    for pair, p_adjusted, factor in zip(pairs, adjusted, factors, strict=True):
        settled = bool(p_adjusted < 1 - level)
        if np.isnan(p_adjusted):
            needed = more = float("nan")
        else:
            found = seeds_needed(pair.difference, (1 - level) / float(factor))
            needed = float("inf") if found is None else float(found)
            more = 0.0 if settled else max(1.0, needed - pair.difference.seeds)
        verdicts.append(Verdict(float(p_adjusted), settled, needed, more))
    return verdicts


def pairwise_table(task: str, returns: Mapping[str, Returns], level: float) -> "DataFrame":
    """Compare every pair of a task's cells, one row a pair; corrected over all of these pairs.

    Args:
        task: name.
        returns: by cell, best cell first: the first of a pair is the one that ranks higher.
        level: of the intervals.
    """
    import pandas as pd

    names = list(combinations(returns, 2))
    pairs = [compare_cells(returns[a], returns[b], level) for a, b in names]
    rows = [
        {
            "task": task,
            "first": first,
            "second": second,
            **pair_columns(pair, verdict),
            "seeds_needed": verdict.seeds_needed,
        }
        for (first, second), pair, verdict in zip(names, pairs, judge(pairs, level), strict=True)
    ]
    columns = ["task", "first", "second", *PAIR_COLUMNS, "seeds_needed"]
    return pd.DataFrame(rows, columns=columns)


PAIR_COLUMNS = (
    "difference",
    "difference_low",
    "difference_high",
    "paired",
    "common_seeds",
    "improvement",
    "improvement_low",
    "improvement_high",
    "p",
    "p_adjusted",
    "settled",
    "more_seeds",
)
"""Columns of a comparison of two cells, in the tables."""


def pair_columns(pair: Pair, verdict: Verdict) -> dict[str, float | bool | int]:
    """Values of `PAIR_COLUMNS`."""
    difference = pair.difference
    return {
        "difference": difference.value,
        "difference_low": difference.interval.low,
        "difference_high": difference.interval.high,
        "paired": difference.paired,
        "common_seeds": difference.seeds,
        "improvement": pair.improvement,
        "improvement_low": pair.improvement_interval.low,
        "improvement_high": pair.improvement_interval.high,
        "p": difference.p,
        "p_adjusted": verdict.adjusted_p,
        "settled": verdict.settled,
        "more_seeds": verdict.more_seeds,
    }
