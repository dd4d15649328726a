"""The tables of a comparison, by hand, and the input that is refused."""

import re
from typing import Any

import numpy as np
import pandas as pd
import pytest

import rlhf_core
from rlhf_core.comparison import compare
from rlhf_core.comparison.statistics.interquartile import interquartile_interval
from rlhf_core.comparison.statistics.wilson import wilson_interval
from rlhf_core.errors import ConfigurationError
from tests.core.comparison.frames import curves_of, runs_of

NAN = float("nan")
CELLS = {
    "constant-ppo": [10.0, 12, 9, 14, 30],
    "preference-ppo": [100.0, 90, 95, 105, 20],
    "true_reward-ppo": [110.0, 112, 108, 111, 109],
    "direct_reward-ppo": [60.0, 62, 58, NAN, 61],
}


def row_of(frame: pd.DataFrame, **values: Any) -> dict[str, Any]:
    for column, value in values.items():
        frame = frame[frame[column] == value]
    (row,) = frame.to_dict("records")
    return row


def test_one_row_a_cell_best_first() -> None:
    table = compare(runs_of(CELLS, first_return=10.0)).table
    assert table["cell"].tolist() == [
        "true_reward-ppo",
        "preference-ppo",
        "direct_reward-ppo",
        "constant-ppo",
    ]
    row = row_of(table, cell="preference-ppo")
    assert (row["seeds"], row["failed"], row["strategy"], row["optimiser"]) == (
        5,
        0,
        "preference",
        "ppo",
    )
    assert (row["iqm"], row["mean"], row["median"], row["worst"], row["best"]) == (
        95,
        82,
        95,
        20,
        105,
    )
    interval = interquartile_interval(np.array(CELLS["preference-ppo"]))
    assert (row["ci_low"], row["ci_high"]) == (interval.low, interval.high)
    assert row["coverage"] == 0.934


def test_a_seed_below_half_way_to_the_true_reward_has_failed() -> None:
    table = compare(runs_of(CELLS, first_return=10.0)).table
    row = row_of(table, cell="preference-ppo")
    assert row["failure_below"] == (10 + 110) / 2
    rate = wilson_interval(1, 5)
    assert (row["failures"], row["failure_rate"]) == (1, 0.2)
    assert (row["failure_low"], row["failure_high"]) == (rate.low, rate.high)
    assert row_of(table, cell="constant-ppo")["failure_rate"] == 1
    assert row["normalised_score"] == pytest.approx((95 - 10) / 100)
    assert row["optimality_gap"] == pytest.approx(1 - (90 + 80 + 85 + 95 + 10) / 500)


def test_without_a_level_the_failure_rate_is_unknown() -> None:
    row = row_of(compare(runs_of(CELLS)).table, cell="preference-ppo")
    assert np.isnan([row["failure_rate"], row["failure_below"], row["normalised_score"]]).all()
    table = compare(runs_of(CELLS), failure_below={"pendulum": 61.0}).table
    assert row_of(table, cell="direct_reward-ppo")["failures"] == 2
    assert compare(runs_of(CELLS), failure_below=0).table["failures"].sum() == 0


def test_the_control_is_the_best_other_cell_that_competes() -> None:
    table = compare(runs_of(CELLS)).table.set_index("cell")
    assert table["control"].to_dict() == {
        "true_reward-ppo": "preference-ppo",
        "preference-ppo": "direct_reward-ppo",
        "direct_reward-ppo": "preference-ppo",
        "constant-ppo": "preference-ppo",
    }
    row = table.loc["direct_reward-ppo"]
    # Seed 3 has no return on one side: pairs of the others, IQM of (100, 90, 95, 20) and the rest.
    assert row["common_seeds"] == 4
    assert row["difference"] == (60 + 61) / 2 - (90 + 95) / 2
    assert row["improvement"] == pytest.approx(4 / 20)
    assert table.loc["preference-ppo", "difference"] == -row["difference"]
    assert table.loc["preference-ppo", "p_adjusted"] == row["p_adjusted"]


def test_a_named_control_has_no_control() -> None:
    table = compare(runs_of(CELLS), control="constant-ppo").table.set_index("cell")
    assert set(table["control"]) == {"constant-ppo", ""}
    assert np.isnan(table.loc["constant-ppo", "p"])
    assert table.loc["true_reward-ppo", "improvement"] == 1


def test_holm_corrects_over_the_comparisons_with_a_named_control() -> None:
    table = compare(runs_of(CELLS), control="preference-ppo").table
    assert table["p_adjusted"].min() == pytest.approx(3 * table["p"].min())


def test_holm_corrects_over_all_pairs_where_the_control_is_the_best_cell() -> None:
    comparison = compare(runs_of(CELLS))
    assert len(comparison.pairwise) == 6
    assert comparison.pairwise["p_adjusted"].min() == pytest.approx(
        6 * comparison.pairwise["p"].min()
    )
    pairs = {
        frozenset((row["first"], row["second"])): row["p_adjusted"]
        for row in comparison.pairwise.to_dict("records")
    }
    for row in comparison.table.to_dict("records"):
        assert row["p_adjusted"] == pairs[frozenset((row["cell"], row["control"]))]


def test_one_run_against_another_has_no_probability_of_improvement() -> None:
    columns = ["improvement", "improvement_low", "improvement_high", "p"]
    single = compare(runs_of({"a": [1.0], "b": [2.0]}))
    assert single.table[columns].isna().all(axis=None)
    assert single.pairwise[columns].isna().all(axis=None)
    assert set(single.figures()) == {"seeds", "profiles", "differences"}
    assert "| 2.0 | - | 1.0 | - | - |" in single.markdown()
    assert compare(runs_of({"a": [1.0], "b": [2.0, 3]})).table["improvement"].tolist() == [1, 0]


def test_a_settled_pair_needs_no_more_seeds() -> None:
    values = [100.0, 101, 99, 102, 98, 100]
    pairwise = compare(
        runs_of(
            {
                "a": values,
                "b": [v - 50 for v in reversed(values)],
                "c": [99.0, 130, 70, 110, 60, 90],
            }
        )
    ).pairwise
    settled = row_of(pairwise, first="a", second="b")
    assert settled["settled"]
    assert settled["more_seeds"] == 0
    close = row_of(pairwise, first="a", second="c")
    assert not close["settled"]
    assert close["more_seeds"] == close["seeds_needed"] - 6 > 0


def test_failed_runs_stand_as_holes_with_their_reasons() -> None:
    runs = runs_of({"a": [1.0, 2], "b": [NAN, 3]})
    runs["reason"] = ["", "", "the environment raised", ""]
    comparison = compare(runs)
    assert comparison.failed[["cell", "seed", "reason"]].to_numpy().tolist() == [
        ["b", 0, "the environment raised"]
    ]
    assert row_of(comparison.table, cell="b")["failed"] == 1
    assert compare(runs_of({"a": [NAN]})).failed["reason"].tolist() == ["no return"]


def test_a_reference_of_the_same_optimiser_is_taken_where_there_is_one() -> None:
    cells = {
        "preference-ppo": [50.0, 50],
        "preference-pgpe": [50.0, 50],
        "preference-cma": [50.0, 50],
        "true_reward-ppo": [100.0, 100],
        "true_reward-pgpe": [60.0, 60],
    }
    table = compare(runs_of(cells, first_return=0.0)).table.set_index("cell")
    assert table.loc["preference-ppo", "normalised_score"] == 0.5
    assert table.loc["preference-pgpe", "normalised_score"] == pytest.approx(50 / 60)
    assert table.loc["preference-cma", "reference"] == "true_reward-ppo"
    named = compare(runs_of(cells, first_return=0.0), reference="true_reward-pgpe").table
    assert set(named["reference"]) == {"true_reward-pgpe"}


def test_costs_and_gains_on_paper() -> None:
    runs = runs_of({"preference-ppo": [110.0, 210]}, labels=50, cost=5.0, first_return=10.0)
    runs["alarms"] = [1, 2]
    row = row_of(compare(runs).table, cell="preference-ppo")
    assert row["return_per_label"] == pytest.approx((2 + 4) / 2)
    assert row["return_per_cost"] == pytest.approx((20 + 40) / 2)
    assert (row["labels"], row["cost"], row["alarms"]) == (50, 5, 3)
    assert np.isnan(row["seconds"])


def test_curves_are_brought_together_where_all_seeds_have_them() -> None:
    runs = runs_of({"a": [3.0, 5], "b": [1.0, 1]})
    curves = curves_of({"a": [[1, 2, 3], [3, 4, 5]], "b": [[0, 1, 1, 1]]})
    comparison = compare(runs, curves)
    points = comparison.curves
    of_a = points[(points["cell"] == "a") & (points["axis"] == "env_steps")]
    assert of_a["x"].tolist() == [100, 200, 300]
    assert of_a["iqm"].tolist() == [2, 3, 4]
    assert of_a["seeds"].tolist() == [2, 2, 2]
    table = comparison.table.set_index("cell")
    # All runs of the task cover 100 to 300 steps.
    assert table["auc_steps"].to_dict() == {"a": 3, "b": pytest.approx((50 + 100) / 200)}
    assert table["auc_labels"].to_dict() == {"a": 3, "b": pytest.approx(0.75)}


def test_curves_with_different_rounds_are_read_off_in_between() -> None:
    curves = curves_of({"a": [[0, 10]]})
    other = curves_of({"a": [[0, 10, 20]]}, steps=80).assign(seed=1)
    points = compare(runs_of({"a": [10.0, 20]}), pd.concat([curves, other])).curves
    of_steps = points[points["axis"] == "env_steps"].set_index("x")
    assert of_steps.index.tolist() == [100, 160, 200]
    assert of_steps.loc[160, "iqm"] == pytest.approx((6 + 10) / 2)


def test_returns_at_some_numbers_of_labels() -> None:
    rounds = curves_of({"a": [[1, 2, 3, 4, 5, 6]], "b": [[0] * 6]}, labels=10)
    rounds.loc[rounds["cell"] == "b", "labels"] = 0
    at_labels = compare(runs_of({"a": [6.0], "b": [0.0]}), rounds).at_labels
    assert at_labels[["cell", "labels", "iqm"]].to_numpy().tolist() == [["a", 20, 2], ["a", 50, 5]]


def test_profiles_fall_from_all_runs_to_none() -> None:
    profiles = compare(runs_of(CELLS)).profiles
    for _, profile in profiles.groupby("cell"):
        assert profile["share"].iloc[0] == 1
        assert profile["share"].iloc[-1] == 0
        assert (profile["share"].diff().dropna() <= 0).all()
        assert ((profile["low"] <= profile["share"]) & (profile["share"] <= profile["high"])).all()


def test_several_tasks_come_together_on_normalised_scores() -> None:
    one = runs_of({"preference-ppo": [50.0, 50], "true_reward-ppo": [100.0, 100]}, first_return=0.0)
    other = one.assign(task="cartpole", true_return=[9.0, 9, 10, 10])
    comparison = compare(pd.concat([one, other], ignore_index=True))
    row = row_of(comparison.overall, cell="preference-ppo")
    assert (row["tasks"], row["runs"]) == (2, 4)
    # Normalised (.5, .5) and (.9, .9).
    assert [row["iqm"], row["ci_low"], row["ci_high"]] == pytest.approx([0.7] * 3)
    assert row["optimality_gap"] == pytest.approx(0.3)
    assert comparison.tasks == ["pendulum", "cartpole"]
    assert compare(one).overall.empty


def test_the_same_frames_give_the_same_tables_whatever_the_order_of_rows() -> None:
    runs = runs_of(CELLS, first_return=10.0)
    first = compare(runs, seed=3)
    second = compare(runs.sample(frac=1, random_state=1), seed=3)
    pd.testing.assert_frame_equal(first.table, second.table)
    pd.testing.assert_frame_equal(first.pairwise, second.pairwise)
    assert first.answer == second.answer


def test_it_is_reached_from_the_package_itself() -> None:
    assert rlhf_core.compare is compare
    with pytest.raises(AttributeError, match="no attribute 'contrast'"):
        _ = rlhf_core.contrast


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"cell": None},
            "runs: expected the columns task, cell, seed, true_return; cell is missing",
        ),
        ({"seed": [0, 1, 2, 0, 1, 1.5]}, r"runs\.seed, row 5: expected a whole number, got 1.5"),
        (
            {"seed": 0},
            "runs, rows 0 and 1: expected one run each, got two of task 'pendulum', cell 'a'",
        ),
        ({"task": ["", *"ppppp"]}, r"runs\.task, row 0: expected a name, got ''"),
        ({"true_return": [1, 2, "x", 4, 5, 6]}, r"runs\.true_return, row 2: .* got 'x'"),
        ({"true_return": [1, 2, 3, 4, 5, np.inf]}, r"runs\.true_return, row 5: .* got inf"),
        ({"labels": [1, 2, 3, "many", 5, 6]}, r"runs\.labels, row 3: expected a finite number"),
        ({"status": "running"}, r"runs\.status, row 0: expected one of finished, failed, got 'run"),
        (
            {"true_return": [1, NAN, 3, 4, 5, 6], "status": "finished"},
            r"runs\.true_return, row 1: expected a number for a finished run, got nan",
        ),
        ({"strategy": ["x", "y", "x", "x", "x", "x"]}, r"runs\.strategy: .* cell 'a' .* got 2"),
    ],
)
def test_a_bad_frame_of_runs_is_refused(change: dict[str, Any], message: str) -> None:
    runs = runs_of({"a": [1.0, 2, 3], "b": [4.0, 5, 6]})
    for column, values in change.items():
        runs = runs.drop(columns=column) if values is None else runs.assign(**{column: values})
    with pytest.raises(ConfigurationError, match=message):
        compare(runs)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"control": "c"}, "control: expected one of the cells a, b, got 'c'"),
        ({"reference": "c"}, "reference: expected one of the cells a, b, got 'c'"),
        (
            {"failure_below": {"ant": 1.0}},
            "failure_below: expected one of the tasks pendulum, got 'ant'",
        ),
        ({"failure_below": NAN}, "failure_below: expected a finite number, got nan"),
        ({"level": 95}, "level: expected a number between 0 and 1, got 95"),
    ],
)
def test_settings_that_name_nothing_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(message)):
        compare(runs_of({"a": [1.0, 2], "b": [4.0, 5]}), **settings)


def test_no_runs_and_curves_without_a_run_are_refused() -> None:
    runs = runs_of({"a": [1.0, 2]})
    with pytest.raises(ConfigurationError, match="runs: expected at least one row, got none"):
        compare(runs.iloc[:0])
    curves = curves_of({"b": [[1.0]]})
    with pytest.raises(ConfigurationError, match=r"curves, row 0: .* cell 'b', seed 0"):
        compare(runs, curves)
    with pytest.raises(ConfigurationError, match=r"curves: .* labels, cost are missing"):
        compare(runs, curves.drop(columns=["labels", "cost"]))
