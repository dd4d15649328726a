"""Drift, by numbers on paper and by samples whose distributions are known."""

from math import erfc, log, sqrt

import numpy as np
import pytest

from rlhf_core.answers import Comparisons
from rlhf_core.errors import ShapeError
from rlhf_core.labels import Evidence
from rlhf_core.questions import Queries
from rlhf_core.retraining.answers import answer_drift, answer_values
from rlhf_core.retraining.drift import (
    category_drift,
    feature_drift,
    population_stability_index,
    quantile_histograms,
)
from tests.core.examples import annotations, ratings, segments


def test_the_stability_index_on_paper() -> None:
    # (1.5, 2.5) / 4 against (2.5, 1.5) / 4.
    index = population_stability_index(np.array([1, 2]), np.array([2, 1]))
    assert index == pytest.approx(0.5 * log(5 / 3))
    assert population_stability_index(np.array([3, 0, 7]), np.array([3, 0, 7])) == 0


def test_histograms_of_unequal_length_are_refused() -> None:
    with pytest.raises(ShapeError, match="histograms of equal length, actual: 1 and 2 bins"):
        population_stability_index(np.array([1]), np.array([1, 2]))


def test_bins_lie_between_quantiles_of_the_reference() -> None:
    first, second = quantile_histograms(np.arange(10.0), np.array([0.0, 9, 9]), bins=2)
    assert (first.tolist(), second.tolist()) == ([5, 5], [1, 2])
    constant, other = quantile_histograms(np.ones(5), np.array([0.0, 1, 2]))
    assert (constant.tolist(), other.tolist()) == ([0, 5], [1, 2])


def test_the_test_of_homogeneity_on_paper() -> None:
    # Expected 15, 5 on both sides: X^2 = 2 * 25 / 15 + 2 * 25 / 5 = 40 / 3.
    p = category_drift(np.array([10, 10]), np.array([20, 0]))
    assert p == pytest.approx(erfc(sqrt(40 / 3 / 2)))
    assert category_drift(np.array([7, 0, 7]), np.array([3, 0, 3])) == 1
    assert category_drift(np.array([7, 0]), np.array([3, 0])) == 1


def test_a_feature_that_moved_is_named_and_one_that_did_not_is_not() -> None:
    rng = np.random.default_rng(0)
    reference, sample = rng.normal(size=(300, 3)), rng.normal(size=(300, 3))
    sample[:, 1] += 1
    drift = feature_drift(reference, sample, ("angle", "speed", "height"))
    assert drift.changed(0.01) == ["speed"]
    assert drift.largest == drift.stability[1]
    assert drift.least_p == drift.p[1] < 1e-6


def test_p_values_are_corrected_for_the_number_of_features() -> None:
    rng = np.random.default_rng(1)
    alarms = 0
    for _ in range(200):
        drift = feature_drift(rng.normal(size=(50, 10)), rng.normal(size=(50, 10)))
        alarms += drift.least_p < 0.05
    assert alarms <= 20


def test_samples_with_other_features_are_refused() -> None:
    with pytest.raises(ShapeError, match="rows of the same features"):
        feature_drift(np.ones((4, 2)), np.ones((4, 3)))


def test_no_feature_has_not_moved() -> None:
    drift = feature_drift(np.empty((4, 0)), np.empty((4, 0)))
    assert (drift.largest, drift.least_p, drift.changed(0.5)) == (0, 1, [])


def test_answers_are_compared_form_by_form() -> None:
    queries = {"comparison": Queries(np.array([[0, 1]]))}
    clips = segments([[0.0, 1], [2, 3]])

    def evidence(lefts: int, rights: int, values: list[float]) -> Evidence:
        choices = [0] * lefts + [1] * rights
        made: Comparisons = annotations([0] * len(choices), choices)  # type: ignore[arg-type]
        rated = ratings([0] * len(values), values)
        return Evidence(clips, queries, {"comparison": made, "rating": rated})

    values = np.linspace(0, 1, 60)
    before = answer_values(evidence(30, 30, values.tolist()))
    assert answer_drift(before, before).changed(0.5) == []
    after = answer_values(evidence(60, 0, (values + 2).tolist()))
    assert answer_drift(before, after).changed(0.01) == ["comparison", "rating"]
    assert answer_values(None) == {}
    assert answer_drift(before, {}).names == ()
