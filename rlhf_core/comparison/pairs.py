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
    """Result of a pair after the correction for the other comparisons of its family."""

    adjusted_p: float
    settled: bool
    """Whether the adjusted p value is below the level of the comparison."""
    threshold: float
    """Level that the uncorrected p value is compared with under the same correction."""


def compare_cells(first: Returns, second: Returns, level: float) -> Pair:
    """Compare two cells.

    The probability of improvement is NaN with a single run on both sides.
    """
    sides = [np.array(list(returns.values()), dtype=np.float64) for returns in (first, second)]
    improvement = probability_of_improvement(sides[0], sides[1])
    if max(len(side) for side in sides) < 2:
        # One run against another can only give 0, 0.5 or 1, which reads as certainty.
        improvement = float("nan")
    ends = improvement_interval(improvement, len(sides[0]), len(sides[1]), level)
    return Pair(difference_of(first, second, level), improvement, ends)


def difference_of(first: Returns, second: Returns, level: float) -> Difference:
    """Difference of two cells, paired where half of the smaller side's seeds or more are common."""
    common = sorted(set(first) & set(second))
    if len(common) >= 2 and 2 * len(common) >= min(len(first), len(second)):
        return paired_difference(
            np.array([first[seed] for seed in common], dtype=np.float64),
            np.array([second[seed] for seed in common], dtype=np.float64),
            level,
        )
    return independent_difference(
        np.array(list(first.values()), dtype=np.float64),
        np.array(list(second.values()), dtype=np.float64),
        level,
    )


def adjusted_verdicts(differences: Sequence[Difference], level: float) -> list[Verdict]:
    """Correct the p values of one family of comparisons (Holm); one verdict for each of them."""
    p = np.array([difference.p for difference in differences], dtype=np.float64)
    adjusted = holm_adjusted(p)
    # Holm multiplies the r-th smallest by K - r; the value itself is cut off at 1.
    comparisons = np.count_nonzero(~np.isnan(p))
    factors = comparisons - np.argsort(np.argsort(p, kind="stable"), kind="stable")
    verdicts = []
    for p_adjusted, factor in zip(adjusted, factors, strict=True):
        if np.isnan(p_adjusted):
            verdicts.append(Verdict(float("nan"), settled=False, threshold=float("nan")))
            continue
        settled = bool(p_adjusted < 1 - level)
        verdicts.append(Verdict(float(p_adjusted), settled, (1 - level) / float(factor)))
    return verdicts


def seed_columns(pair: Pair, verdict: Verdict) -> dict[str, float]:
    """Seeds of each cell that would probably settle the pair, and how many of them are missing.

    Both are NaN without a p value and infinite above 1,000; a settled pair misses none.
    """
    if np.isnan(verdict.adjusted_p):
        return {"more_seeds": float("nan"), "seeds_needed": float("nan")}
    count = seeds_needed(pair.difference, verdict.threshold)
    needed = float("inf") if count is None else float(count)
    more = 0.0 if verdict.settled else max(1.0, needed - pair.difference.seeds)
    return {"more_seeds": more, "seeds_needed": needed}


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
    verdicts = adjusted_verdicts([pair.difference for pair in pairs], level)
    rows = [
        {
            "task": task,
            "first": first,
            "second": second,
            **pair_columns(pair, verdict),
            **seed_columns(pair, verdict),
        }
        for (first, second), pair, verdict in zip(names, pairs, verdicts, strict=True)
    ]
    columns = ["task", "first", "second", *PAIR_COLUMNS, *SEED_COLUMNS]
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
)
"""Columns of a comparison of two cells, in the tables."""

SEED_COLUMNS = ("more_seeds", "seeds_needed")
"""Columns of the seeds that a comparison of two cells would need."""


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
    }
