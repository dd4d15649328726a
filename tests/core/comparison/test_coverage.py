"""Real coverage of the intervals (nominal 95 % must be 93 to 97 % at ten seeds) and of Holm."""

from pathlib import Path

import numpy as np
import pytest

from rlhf_core.comparison.cells import control_columns
from rlhf_core.comparison.roles import controls_of
from rlhf_core.comparison.statistics.difference import paired_difference
from rlhf_core.comparison.statistics.interquartile import interquartile_interval
from rlhf_core.comparison.statistics.reliability import COVERAGE, TASKS_COVERAGE, least_coverage
from rlhf_core.evaluation.statistics import interquartile_mean

MEASURED = Path(__file__).parents[3] / "benchmarks" / "results" / "coverage.md"
SIMULATIONS = 2000


def draw(shape: str, rng: np.random.Generator, count: tuple[int, ...]) -> np.ndarray:
    if shape == "normal":
        return rng.normal(size=count)
    if shape == "skewed":
        return rng.lognormal(0, 0.8, size=count)
    return rng.standard_t(3, size=count)


@pytest.mark.parametrize("shape", ["normal", "skewed", "heavy"])
def test_ten_seeds_cover_the_interquartile_mean(shape: str) -> None:
    rng = np.random.default_rng(5)
    truth = interquartile_mean(draw(shape, rng, (2_000_000,)))
    hits = 0
    for values in draw(shape, rng, (SIMULATIONS, 10)):
        interval = interquartile_interval(values)
        hits += interval.low <= truth <= interval.high
    assert 0.93 <= hits / SIMULATIONS <= 0.97


@pytest.mark.parametrize("shape", ["normal", "skewed", "heavy"])
def test_ten_pairs_cover_the_difference(shape: str) -> None:
    rng = np.random.default_rng(6)

    def cells(*count: int) -> tuple[np.ndarray, np.ndarray]:
        shared = draw(shape, rng, count) / 2
        return draw(shape, rng, count) + shared, draw(shape, rng, count) / 2 + shared

    first, second = cells(2_000_000)
    truth = interquartile_mean(first) - interquartile_mean(second)
    hits = 0
    for x, y in zip(*cells(SIMULATIONS, 10), strict=True):
        interval = paired_difference(x, y).interval
        hits += interval.low <= truth <= interval.high
    assert 0.93 <= hits / SIMULATIONS <= 0.97


def settled_between_equals(rng: np.random.Generator, *, named_control: bool) -> bool:
    """Whether twelve cells with one distribution have a settled difference from their control."""
    samples = sorted(rng.normal(size=(12, 10)), key=interquartile_mean, reverse=True)
    returns = {f"cell {place}": dict(enumerate(values)) for place, values in enumerate(samples)}
    controls = controls_of(list(returns), list(returns), [], None)
    rows = control_columns(returns, controls, 0.95, named_control=named_control)
    return any(row["settled"] for row in rows.values())


def test_equal_cells_have_no_settled_difference_from_the_best_of_them() -> None:
    rng = np.random.default_rng(8)
    assert np.mean([settled_between_equals(rng, named_control=False) for _ in range(40)]) <= 0.05


def test_the_best_cell_is_no_control_that_was_named_beforehand() -> None:
    rng = np.random.default_rng(8)
    assert np.mean([settled_between_equals(rng, named_control=True) for _ in range(100)]) > 0.05


def test_the_printed_coverage_is_the_measured_one() -> None:
    rows = [line.strip("| ").split(" | ") for line in MEASURED.read_text().splitlines()]
    single = {int(row[1]): [float(cell) for cell in row[2:]] for row in rows if row[0] == "IQM"}
    least = {seeds: min(shares) / 100 for seeds, shares in single.items()}
    assert dict(COVERAGE) == pytest.approx(least)
    several = {int(row[1]): [float(cell) for cell in row[2:]] for row in rows if row[0] == "tasks"}
    assert dict(TASKS_COVERAGE) == pytest.approx(
        {seeds: min(shares) / 100 for seeds, shares in several.items()}
    )


def test_coverage_between_two_measured_numbers_is_the_lower_one() -> None:
    assert least_coverage(7) == min(COVERAGE[6], COVERAGE[8])
    assert least_coverage(1000) == COVERAGE[30]
    assert np.isnan(least_coverage(1))
