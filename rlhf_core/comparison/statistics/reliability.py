"""Measured coverage of the intervals of interquartile means."""

from collections.abc import Mapping
from types import MappingProxyType

COVERAGE: Mapping[int, float] = MappingProxyType(
    {
        2: 0.952,
        3: 0.938,
        4: 0.945,
        5: 0.934,
        6: 0.925,
        8: 0.930,
        10: 0.939,
        15: 0.948,
        20: 0.948,
        30: 0.956,
    }
)
"""Coverage of `interquartile_interval` at 95 %, by the number of seeds.

Each is the least of normal, skewed, heavy-tailed and partly failing returns, 2,000 simulated
comparisons each: `benchmarks/results/coverage.md`, written by `benchmarks/coverage.py`.
"""

TASKS_COVERAGE: Mapping[int, float] = MappingProxyType({5: 0.905, 10: 0.925, 20: 0.944})
"""Coverage of `stratified_interval` for the interquartile mean over three tasks, likewise."""


def least_coverage(seeds: int) -> float:
    """Least measured coverage of a nominal 95 % interval of so many seeds.

    Numbers that were not simulated take the lower of their two neighbours. NaN below two seeds.
    """
    if seeds < min(COVERAGE):
        return float("nan")
    below = max(count for count in COVERAGE if count <= seeds)
    above = min((count for count in COVERAGE if count >= seeds), default=below)
    return min(COVERAGE[below], COVERAGE[above])
