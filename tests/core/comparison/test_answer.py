"""The sentence with the answer, in each situation."""

import pandas as pd
import pytest

from rlhf_core.comparison import compare
from rlhf_core.comparison.numbers import plain, with_interval
from tests.core.comparison.frames import runs_of

NAN = float("nan")
GOOD = [100.0, 103, 98, 101, 99, 100]
BAD = [50.0, 49, 52, 48, 51, 50]
NEAR = [97.0, 104, 96, 102, 95, 99]


def answer(cells: dict[str, list[float]], **settings: object) -> str:
    return compare(runs_of(cells), **settings).answer  # type: ignore[arg-type]


def test_a_winner_is_named_with_amount_and_chance() -> None:
    assert answer({"a": BAD, "b": GOOD}) == (
        "`b` beats `a` by 50 (47 to 53), probability of improvement 1.00."
    )


def test_what_is_not_settled_is_said_with_the_seeds_that_it_takes() -> None:
    text = answer({"a": GOOD, "b": NEAR})
    assert text.startswith("`a` is ahead of `b` by 1.5 (-2.2 to 5.2)")
    assert "which 6 seeds do not settle: about " in text
    assert text.endswith(" more seeds of each would.")


def test_the_next_unsettled_cell_is_named_too() -> None:
    wide = [40.0, 90, 98, 95, 20, 99]
    lower = [91.0, 96, 89, 94, 91, 91]
    text = answer({"a": GOOD, "b": lower, "c": wide})
    assert text.startswith("`a` beats `b` by 8.2 (")
    assert "more seeds would settle `c`." in text


def test_the_true_reward_does_not_compete() -> None:
    text = answer({"true_reward-ppo": GOOD, "preference-ppo": BAD, "mixed-ppo": [1.0] * 6})
    assert text.startswith("`preference-ppo` beats `mixed-ppo` by 49 (")
    assert text.endswith("The true reward (`true_reward-ppo`) reaches 100.")


def test_it_competes_with_the_only_other_cell() -> None:
    text = answer({"true_reward-ppo": GOOD, "preference-ppo": BAD})
    assert text == (
        "`true_reward-ppo` beats `preference-ppo` by 50 (47 to 53), "
        "probability of improvement 1.00."
    )


def test_a_named_control_can_win() -> None:
    text = answer({"a": BAD, "b": GOOD, "c": [1.0] * 6}, control="b")
    assert text.startswith("`b` beats `a` by 50 (47 to 53), probability of improvement 1.00")


def test_a_named_control_is_what_the_best_is_measured_against() -> None:
    assert answer({"a": BAD, "b": GOOD, "c": NEAR}, control="a").startswith("`b` beats `a` by 50")


def test_a_control_on_the_true_reward_is_the_measure() -> None:
    cells = {"true_reward-ppo": GOOD, "preference-ppo": BAD, "mixed-ppo": [1.0] * 6}
    text = answer(cells, control="true_reward-ppo")
    assert text.startswith("`true_reward-ppo` beats `preference-ppo` by 50")


def test_equal_cells_are_level() -> None:
    assert answer({"a": [500.0] * 5, "b": [500.0] * 5}) == (
        "`a` and `b` are level, which 5 seeds do not settle: more than 1,000 seeds would be needed."
    )


def test_one_seed_each_cannot_rule_out_luck() -> None:
    assert answer({"a": [3.0], "b": [10.0]}) == (
        "`b` is ahead of `a` by 7.0, with a single seed on a side: luck cannot be ruled out, "
        "play at least five seeds of each."
    )


def test_one_cell_has_no_other_to_be_compared_with() -> None:
    assert answer({"a": [100.0, 102, 98, 101]}) == (
        "`a` reaches 100 (89 to 112) over 4 seeds; there is no other cell to compare it with."
    )
    assert answer({"a": [5.0]}) == (
        "`a` reaches 5.0 over 1 seed; there is no other cell to compare it with."
    )


def test_a_cell_whose_rivals_all_failed() -> None:
    assert answer({"a": [5.0, 5], "b": [NAN, NAN]}) == (
        "`a` reaches 5.0 (5.0 to 5.0) over 2 seeds; no other cell that it could be compared with "
        "has a finished run."
    )


def test_no_finished_run() -> None:
    runs = runs_of({"a": [NAN, NAN], "b": [NAN]})
    runs["reason"] = ["no memory", "broken pool", "broken pool"]
    assert compare(runs).answer == "No run finished: 3 runs failed (the first: no memory)."
    assert compare(runs[:1]).answer == "No run finished: 1 run failed (no memory)."
    runs["reason"] = "x" * 500
    assert len(compare(runs).answer) < 190


def test_failed_seeds_of_the_winner_are_said() -> None:
    text = answer({"a": BAD, "b": [*GOOD[:5], -10]}, failure_below=20)
    assert text.endswith("1 of 6 seeds of `b` ended below 20.")


def test_a_null_control_that_wins_is_called_one() -> None:
    text = answer({"preference-ppo": BAD, "constant-ppo": GOOD})
    assert text.endswith("`constant-ppo` is a null control, and no cell did better.")


def test_each_task_has_a_sentence_of_its_own() -> None:
    one = runs_of({"a": BAD, "b": GOOD})
    other = runs_of({"a": [3.0], "b": [2.0]}, task="cartpole")
    assert compare(pd.concat([one, other])).answer == (
        "pendulum: `b` beats `a` by 50 (47 to 53), probability of improvement 1.00. cartpole: `a` "
        "is ahead of `b` by 1.0, with a single seed on a side: luck cannot be ruled out, play "
        "at least five seeds of each."
    )


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (-0.4e-9, "-0.000000"),
        (-1432.6, "-1433"),
        (34.4, "34"),
        (5.04, "5.0"),
        (0.5, "0.50"),
        (0.0123, "0.012"),
        (NAN, "-"),
        (float("inf"), "more than 1,000"),
    ],
)
def test_numbers_have_about_two_or_three_figures(value: float, text: str) -> None:
    assert plain(value) == text.replace("-0.000000", "0.000000")


def test_an_interval_has_the_decimals_of_its_widest_number() -> None:
    assert with_interval(3.14159, -20.2, 26.6) == "3 (-20 to 27)"
    assert with_interval(3.14159, NAN, NAN) == "3.1"
