"""Statistics against SciPy."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm, pearsonr, spearmanr, trim_mean

from rlhf_core.evaluation.statistics import (
    bootstrap_interval,
    interquartile_mean,
    pearson,
    spearman,
)

NUMBERS = st.lists(st.integers(-50, 50).map(float), min_size=1, max_size=40)


@given(NUMBERS)
def test_the_interquartile_mean_is_scipys_trimmed_mean(values: list[float]) -> None:
    array = np.array(values)
    assert interquartile_mean(array) == pytest.approx(trim_mean(array, 0.25))


def test_the_interquartile_mean_on_paper() -> None:
    assert interquartile_mean(np.array([100.0, 1, 2, 3, -100, 0, 5, 4])) == 2.5
    assert interquartile_mean(np.array([1.0, 2, 6])) == 3


@given(st.lists(st.tuples(st.integers(-5, 5), st.integers(-5, 5)), min_size=2, max_size=30))
def test_correlations_are_scipys_ties_included(pairs: list[tuple[int, int]]) -> None:
    first, second = np.array(pairs, dtype=np.float64).T
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        assert pearson(first, second) is None
        assert spearman(first, second) is None
    else:
        assert pearson(first, second) == pytest.approx(pearsonr(first, second)[0], abs=1e-9)
        assert spearman(first, second) == pytest.approx(spearmanr(first, second)[0], abs=1e-9)


def test_correlations_on_paper() -> None:
    rising = np.array([1.0, 2, 3, 4])
    assert pearson(rising, -2 * rising + 1) == pytest.approx(-1)
    assert spearman(rising, np.exp(rising)) == pytest.approx(1)
    assert spearman(rising, np.array([1.0, 3, 2, 4])) == pytest.approx(0.8)


def test_one_value_correlates_with_nothing() -> None:
    assert pearson(np.array([1.0]), np.array([2.0])) is None
    assert spearman(np.array([]), np.array([])) is None


def test_the_bootstrap_interval_covers_the_truth_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    hits = 0
    for _ in range(200):
        low, high = bootstrap_interval(rng.normal(3, 1, 40), rng, level=0.9, resamples=300)
        hits += low <= 3 <= high
    assert 0.8 < hits / 200 < 0.97


def test_the_bootstrap_interval_is_as_wide_as_theory_says() -> None:
    # The mean of the middle half of n normal values has variance of about 1.2 / n.
    rng = np.random.default_rng(0)
    low, high = bootstrap_interval(rng.normal(0, 1, 400), rng)
    assert high - low == pytest.approx(2 * norm.ppf(0.975) * np.sqrt(1.2 / 400), rel=0.25)


def test_the_bootstrap_interval_of_equal_values_is_a_point() -> None:
    assert bootstrap_interval(np.full(10, 7.0), np.random.default_rng(0)) == (7.0, 7.0)


def test_a_higher_level_gives_a_wider_interval_and_the_seed_decides() -> None:
    values = np.random.default_rng(0).normal(size=20)
    narrow, wide, again = (
        bootstrap_interval(values, np.random.default_rng(1), level) for level in (0.5, 0.99, 0.99)
    )
    assert wide[0] < narrow[0] <= narrow[1] < wide[1]
    assert wide == again
