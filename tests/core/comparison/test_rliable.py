"""Agreement with rliable, whose outputs `benchmarks/peers/rliable_statistics.py` stored."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rlhf_core.comparison.statistics.bootstrap import (
    pooled_interquartile_mean,
    stratified_resamples,
)
from rlhf_core.comparison.statistics.improvement import probability_of_improvement
from rlhf_core.comparison.statistics.normalised import optimality_gap
from rlhf_core.comparison.statistics.profile import performance_profile
from rlhf_core.evaluation.statistics import interquartile_mean

ORACLE = Path(__file__).parents[1] / "data" / "rliable.json"
CASES: list[dict[str, Any]] = json.loads(ORACLE.read_text())["cases"]
EXACT = {"rel": 0, "abs": 1e-12}


@pytest.mark.parametrize(
    "case", CASES, ids=lambda case: "x".join(map(str, np.shape(case["first"])))
)
def test_equal_definitions_give_equal_numbers(case: dict[str, Any]) -> None:
    first, second = np.array(case["first"]), np.array(case["second"])
    strata = list(first.T)
    assert interquartile_mean(first.ravel()) == pytest.approx(case["iqm"], **EXACT)
    assert optimality_gap(first.ravel()) == pytest.approx(case["optimality_gap"], **EXACT)
    by_task = [probability_of_improvement(x, y) for x, y in zip(first.T, second.T, strict=True)]
    assert np.mean(by_task) == pytest.approx(case["improvement"], **EXACT)
    profile = performance_profile(first.ravel(), np.array(case["thresholds"]))
    assert profile == pytest.approx(np.array(case["profile"]), **EXACT)
    point = pooled_interquartile_mean([scores[None] for scores in strata])
    assert point[0] == pytest.approx(case["bootstrap_iqm"], **EXACT)


@pytest.mark.parametrize(
    "case", CASES, ids=lambda case: "x".join(map(str, np.shape(case["first"])))
)
def test_bootstrap_resamples_agree_but_for_the_random_draws(case: dict[str, Any]) -> None:
    strata = list(np.array(case["first"]).T)
    resamples = stratified_resamples(
        strata, pooled_interquartile_mean, np.random.default_rng(0), 20_000
    )
    width = np.ptp(case["bootstrap_interval"])
    assert np.quantile(resamples, [0.025, 0.975]) == pytest.approx(
        np.array(case["bootstrap_interval"]), abs=0.04 * width
    )
