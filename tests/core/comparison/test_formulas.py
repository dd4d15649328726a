"""Every statistic of a comparison on numbers that one can check by hand."""

from math import comb, sqrt

import numpy as np
import pytest
from scipy.stats import norm, t, ttest_ind

from rlhf_core.comparison.statistics.area import area_under_curve, latest_values
from rlhf_core.comparison.statistics.bootstrap import (
    pooled_interquartile_mean,
    pooled_mean,
    stratified_interval,
    stratified_resamples,
)
from rlhf_core.comparison.statistics.difference import (
    Difference,
    independent_difference,
    paired_difference,
)
from rlhf_core.comparison.statistics.efficiency import gain_per_unit
from rlhf_core.comparison.statistics.holm import holm_adjusted
from rlhf_core.comparison.statistics.improvement import (
    improvement_interval,
    probability_of_improvement,
)
from rlhf_core.comparison.statistics.interquartile import (
    UNKNOWN,
    interquartile_interval,
    squared_error,
    winsorise,
)
from rlhf_core.comparison.statistics.normalised import normalised_score, optimality_gap
from rlhf_core.comparison.statistics.power import seeds_needed
from rlhf_core.comparison.statistics.profile import performance_profile, profile_band
from rlhf_core.comparison.statistics.wilson import wilson_interval
from rlhf_core.errors import ShapeError

FIVE = np.array([100.0, 1, 3, 2, 4])


def test_winsorising_moves_the_ends_and_keeps_the_order() -> None:
    assert winsorise(FIVE).tolist() == [4, 2, 3, 2, 4]
    assert squared_error(winsorise(FIVE)) == pytest.approx(4 * 1 / (3 * 2))


def test_the_interval_of_an_interquartile_mean_on_paper() -> None:
    # IQM of (2, 3, 4) is 3; the quantile of t with 2 degrees of freedom at 1 - .8 * .025 is 4.849.
    interval = interquartile_interval(FIVE)
    assert interval.low == pytest.approx(3 - 4.8487 * sqrt(2 / 3), abs=1e-3)
    assert interval.high == pytest.approx(3 + 4.8487 * sqrt(2 / 3), abs=1e-3)


def test_equal_seeds_have_an_interval_without_width_and_one_seed_has_none() -> None:
    interval = interquartile_interval(np.array([500.0, 500, 500, 500, 12]))
    assert (interval.low, interval.high) == (500, 500)
    for values in ([], [3.0]):
        assert np.isnan(interquartile_interval(np.array(values)).low)


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    [(0, 5, 0.0, 0.4345), (1, 5, 0.0362, 0.6245), (5, 5, 0.5655, 1.0), (5, 10, 0.2366, 0.7634)],
)
def test_wilsons_interval_is_the_published_one(
    successes: int, trials: int, low: float, high: float
) -> None:
    interval = wilson_interval(successes, trials)
    assert (interval.low, interval.high) == pytest.approx((low, high), abs=1e-4)


def test_no_trial_has_no_interval() -> None:
    assert wilson_interval(0, 0) is UNKNOWN


def test_a_paired_difference_on_paper() -> None:
    # With 2 degrees of freedom the two-sided p value of t is 1 - t / sqrt(t^2 + 2).
    difference = paired_difference(FIVE, np.zeros(5))
    statistic = 3 / sqrt(2 / 3)
    assert difference.value == 3
    assert difference.standard_error == pytest.approx(sqrt(2 / 3))
    assert difference.p == pytest.approx((1 - statistic / sqrt(statistic**2 + 2)) / 1.2)
    half = t.ppf(1 - 1.2 * 0.025, 2) * sqrt(2 / 3)
    assert difference.interval.low == pytest.approx(3 - half)
    assert difference.interval.high == pytest.approx(3 + half)


def test_pairs_take_away_what_seeds_have_in_common() -> None:
    shared = np.array([-300.0, 80, 10, 0, 500, -20])
    own = np.array([1.0, -1, 2, 0, 1, -2])
    paired = paired_difference(shared + 10 + own, shared)
    assert paired.standard_error < 2 < independent_difference(shared + 10, shared).standard_error


def test_the_independent_difference_is_yuens_test() -> None:
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=9), rng.normal(0.5, 3, size=14)
    difference = independent_difference(first, second)
    peer = ttest_ind(first, second, equal_var=False, trim=0.25)
    assert difference.p == pytest.approx(peer.pvalue, rel=1e-9)
    ends = peer.confidence_interval()
    assert difference.interval.low == pytest.approx(ends.low, rel=1e-9)
    assert difference.interval.high == pytest.approx(ends.high, rel=1e-9)


def test_the_interval_leaves_out_zero_where_p_is_below_five_per_cent() -> None:
    rng = np.random.default_rng(3)
    outcomes = set()
    for _ in range(300):
        first, second = rng.normal(0.9, 1, size=(2, 8)) * [[1], [0.3]]
        for difference in (paired_difference(first, second), independent_difference(first, second)):
            outside = difference.interval.low > 0 or difference.interval.high < 0
            assert outside == (difference.p < 0.05)
            outcomes.add(outside)
    assert outcomes == {True, False}


def test_without_any_variation_p_is_the_least_of_a_permutation() -> None:
    # All five differences have one sign: 2 of the 2^5 ways to flip them are as extreme.
    assert paired_difference(FIVE + 10, FIVE).p == 1 / 16
    assert independent_difference(np.full(4, 9.0), np.zeros(3)).p == 2 / comb(7, 3)
    two = np.array([500.0, 500])
    assert independent_difference(two, two / 50).p == pytest.approx(1 / 3)
    assert paired_difference(two, two).p == 1


def test_one_seed_has_no_p_value_and_no_interval() -> None:
    one = np.array([4.0])
    for difference in (paired_difference(one, one + 1), independent_difference(one, FIVE)):
        assert np.isnan([difference.p, difference.interval.low, difference.interval.high]).all()
    assert paired_difference(one, one + 1).value == -1


def test_sides_of_unequal_length_cannot_be_paired() -> None:
    with pytest.raises(ShapeError, match="got 5 and 1"):
        paired_difference(FIVE, np.array([1.0]))


def test_the_probability_of_improvement_counts_pairs_and_half_of_ties() -> None:
    first, second = np.array([1.0, 2, 3]), np.array([2.0, 2, 5])
    # 1 beats none, 2 ties twice, 3 beats two: (0 + 1 + 2) / 9.
    assert probability_of_improvement(first, second) == pytest.approx(1 / 3)
    assert probability_of_improvement(second, first) == pytest.approx(2 / 3)
    assert np.isnan(probability_of_improvement(first, np.array([])))


@pytest.mark.parametrize("probability", [0.0, 0.12, 0.5, 0.97, 1.0])
def test_the_ends_of_its_interval_solve_newcombes_equation(probability: float) -> None:
    runs, others = 5, 8
    interval = improvement_interval(probability, runs, others)
    extra = (runs + others) / 2 - 1
    for end in (interval.low, interval.high):
        variance = end * (1 - end) * (1 + extra * ((1 - end) / (2 - end) + end / (1 + end)))
        bound = norm.ppf(0.975) ** 2 * variance / (runs * others)
        # At 0 and 1 both sides vanish on the outer end, so only the inner one is informative.
        assert (probability - end) ** 2 == pytest.approx(bound, abs=1e-9)
    assert interval.low <= probability <= interval.high
    assert interval.high - interval.low > 0.2


def test_the_interval_of_the_probability_turns_with_the_sides() -> None:
    first, second = improvement_interval(0.9, 5, 8), improvement_interval(0.1, 8, 5)
    assert (first.low, first.high) == pytest.approx((1 - second.high, 1 - second.low))
    assert improvement_interval(1.0, 1, 9) is UNKNOWN


def test_a_performance_profile_on_paper() -> None:
    scores, thresholds = np.array([1.0, 2, 2, 5]), np.array([0.0, 1, 2, 5])
    profile = performance_profile(scores, thresholds)
    assert profile.tolist() == [1, 0.75, 0.25, 0]
    low, high = profile_band(profile, 4)
    quarter = wilson_interval(1, 4)
    assert (low[2], high[2]) == (quarter.low, quarter.high)
    assert (low[3], high[0]) == (0, 1)
    assert high[3] > 0.3


def test_normalised_scores_and_the_optimality_gap_on_paper() -> None:
    scores = normalised_score(np.array([-100.0, -50, 20]), random=-100, reference=0)
    assert scores.tolist() == [0, 0.5, 1.2]
    assert optimality_gap(scores) == pytest.approx(1 - (0 + 0.5 + 1) / 3)
    for reference in (-100.0, -200.0, float("nan")):
        assert np.isnan(normalised_score(np.array([1.0]), -100, reference)).all()


def test_the_area_under_a_curve_on_paper() -> None:
    x, y = np.array([0.0, 10, 20]), np.array([0.0, 10, 10])
    assert area_under_curve(x, y, 0, 20) == pytest.approx((50 + 100) / 20)
    # Cut inside both pieces: from 5 to 10 the mean is 7.5, from 10 to 15 it is 10.
    assert area_under_curve(x, y, 5, 15) == pytest.approx(8.75)
    assert np.isnan(area_under_curve(x, y, 20, 20))


def test_the_last_of_several_values_at_one_x_counts() -> None:
    x, y = latest_values(np.array([20.0, 0, 10, 20, 20]), np.array([5.0, 1, 2, 6, 7]))
    assert x.tolist() == [0, 10, 20]
    assert y.tolist() == [1, 2, 7]


def test_gain_for_each_label_on_paper() -> None:
    gains = gain_per_unit(np.array([-150.0, 5]), np.array([-1150.0, 0]), np.array([200.0, 0]))
    assert gains[0] == 5
    assert np.isnan(gains[1])


def test_holms_correction_on_paper() -> None:
    adjusted = holm_adjusted(np.array([0.04, 0.01, np.nan, 0.03, 0.9]))
    # Sorted: .01 * 4, .03 * 3, max(.09, .04 * 2), .9.
    assert adjusted[[1, 3, 0, 4]] == pytest.approx([0.04, 0.09, 0.09, 0.9])
    assert np.isnan(adjusted[2])
    assert holm_adjusted(np.array([0.6, 0.7])).tolist() == [1, 1]


def test_many_seeds_are_those_of_the_normal_formula() -> None:
    # (1.960 + 0.842)^2 (tau / d)^2 = 7.849 * 25 = 196.2, a little more for Student's t.
    difference = Difference(-1.0, UNKNOWN, 0.4, 5 / sqrt(10), paired=False, seeds=10)
    assert 197 <= (seeds_needed(difference) or 0) <= 203


def test_so_many_seeds_find_the_difference_four_times_in_five() -> None:
    rng = np.random.default_rng(1)
    values = rng.normal([1.0, 0.0], 1.0, size=(40_000, 2))
    whole = paired_difference(*values.T)
    needed = seeds_needed(whole)
    assert needed is not None
    hits = [
        paired_difference(*rng.normal([whole.value, 0.0], 1.0, size=(needed, 2)).T).p < 0.05
        for _ in range(1000)
    ]
    assert 0.75 < np.mean(hits) < 0.87


def test_seeds_that_no_budget_pays_for_are_not_counted() -> None:
    assert seeds_needed(Difference(0.1, UNKNOWN, 0.9, 5.0, paired=True, seeds=10)) is None
    assert seeds_needed(Difference(0.0, UNKNOWN, 1.0, 5.0, paired=True, seeds=10)) is None
    nan = float("nan")
    assert seeds_needed(Difference(1.0, UNKNOWN, nan, nan, paired=True, seeds=1)) is None


def test_seeds_without_variation_need_as_many_as_a_permutation_test() -> None:
    # Independent: 2 / C(6, 3) = 0.1 and 2 / C(8, 4) = 0.029. Pairs: 2 / 2^5 = 0.063, then 0.031.
    assert seeds_needed(Difference(1.0, UNKNOWN, 0.3, 0.0, paired=False, seeds=2)) == 4
    assert seeds_needed(Difference(1.0, UNKNOWN, 0.5, 0.0, paired=True, seeds=2)) == 6


def test_strata_keep_their_weight_in_every_resample() -> None:
    strata = [np.zeros(3), np.ones(3)]
    means = stratified_resamples(strata, pooled_mean, np.random.default_rng(0), 50)
    assert means.tolist() == [0.5] * 50
    pooled = pooled_interquartile_mean([np.array([[1.0, 2]]), np.array([[3.0, 100]])])
    assert pooled.tolist() == [2.5]


def test_the_interval_of_several_tasks_is_students_t_on_their_means() -> None:
    # Variances within the tasks are 1 and 6, so se^2 = (3 * 1 + 4 * 6) / 7^2; 2 + 3 degrees.
    strata = [np.array([1.0, 2, 3]), np.array([2.0, 8, 5, 5])]
    interval = stratified_interval(strata, pooled_mean, np.random.default_rng(0), resamples=40_000)
    centre, half = (6 + 20) / 7, t.ppf(1 - 0.8 * 0.025, 5) * sqrt(27) / 7
    assert (interval.low, interval.high) == pytest.approx((centre - half, centre + half), abs=0.02)
    single = [*strata, np.array([1.0])]
    assert stratified_interval(single, pooled_mean, np.random.default_rng(0)) is UNKNOWN
