"""Questions, answers and labels refuse what does not fit together, and are counted rightly."""

from typing import Any

import numpy as np
import pytest
from rlhf_core.evidence import answers, no_rankings, no_ratings

from rlhf_core.answers import (
    EMPTY,
    EXPERT,
    WHOLE,
    Choice,
    Comparisons,
    Rankings,
    Ratings,
    concatenate,
    select,
)
from rlhf_core.errors import ShapeError
from rlhf_core.labels import Preferences, Workers
from rlhf_core.questions import Queries, Request, no_queries
from rlhf_core.reward_learning.evidence import no_comparisons
from tests.core.examples import annotations, rankings, ratings, segments

CLIPS = segments([[1], [2], [3], [4]])


def ask(**changes: Any) -> Request:
    return Request(**{"segments": CLIPS, "queries": no_queries(), "reference": CLIPS, **changes})


@pytest.mark.parametrize(
    "asked",
    [
        {"queries": Queries(np.array([[0, 4]]))},
        {"queries": Queries(np.array([[-1, 0]]))},
        {"rankings": Queries(np.array([[0, 1, 4]]))},
        {"rankings": Queries(np.array([[0, EMPTY, 1]]))},
        {"ratings": np.array([[4, WHOLE]])},
        {"ratings": np.array([[-1, WHOLE]])},
    ],
    ids=str,
)
def test_questions_point_into_their_segments(asked: dict[str, Any]) -> None:
    with pytest.raises(ShapeError, match="Request: expected positions among 4 segments"):
        ask(**asked)


@pytest.mark.parametrize(("size", "places", "most"), [(2, 2, 1), (4, 4, 3), (3, 0, 2), (4, -1, 3)])
def test_places_that_are_asked_for_are_places_of_the_group(
    size: int, places: int, most: int
) -> None:
    with pytest.raises(ShapeError, match=rf"places from 1 to {most}, actual: {places}"):
        ask(rankings=Queries(np.arange(size)[None]), places=places)


@pytest.mark.usefixtures("unchecked")
def test_a_comparison_is_of_two() -> None:
    with pytest.raises(ShapeError, match=r"Request: expected pairs \(N, 2\), actual: \(1, 3\)"):
        ask(queries=Queries(np.array([[0, 1, 2]])))


@pytest.mark.usefixtures("unchecked")
def test_queries_have_two_axes() -> None:
    with pytest.raises(ShapeError, match=r"Queries: expected items of shape \(N, K\), actual: \(3"):
        Queries(np.zeros(3, dtype=np.int64))


def test_a_request_may_ask_nothing() -> None:
    assert (ask().labels, ask().questions) == (0, 0)


def test_a_ranking_counts_by_its_named_places_and_the_rest_by_the_question() -> None:
    pairs, groups = Queries(np.array([[0, 1], [2, 3]])), Queries(np.array([[0, 1, 2, 3]]))
    rated = np.array([[0, WHOLE], [1, 0], [1, 0]])
    whole = ask(queries=pairs, rankings=groups, places=3, ratings=rated)
    assert (whole.labels, whole.questions) == (2 + 3 + 3, 2 + 1 + 3)
    best = ask(queries=pairs, rankings=groups, places=1, ratings=rated)
    assert (best.labels, best.questions) == (2 + 1 + 3, 2 + 1 + 3)


def test_an_unknown_choice_is_refused() -> None:
    with pytest.raises(ShapeError, match=r"choices among \[0, 1, 2, 3\], actual: \[7\]"):
        Comparisons(*(np.array([0]),) * 2, np.array([7]), *(np.zeros(1),) * 2)


INTEGERS, NUMBERS = np.zeros(3, dtype=np.int64), np.zeros(3)
FORMS: dict[Any, dict[str, np.ndarray]] = {
    Comparisons: {
        "query": INTEGERS, "worker": INTEGERS, "choice": INTEGERS, "seconds": NUMBERS,
        "cost": NUMBERS,
    },
    Rankings: {
        "items": np.zeros((3, 4), dtype=np.int64), "places": INTEGERS + 1, "worker": INTEGERS,
        "seconds": NUMBERS, "cost": NUMBERS,
    },
    Ratings: {
        "segment": INTEGERS, "step": INTEGERS, "value": NUMBERS, "worker": INTEGERS,
        "seconds": NUMBERS, "cost": NUMBERS,
    },
    Workers: {
        "worker": INTEGERS, "judgements": INTEGERS, "competence": NUMBERS, "agreement": NUMBERS,
    },
}  # fmt: skip
COLUMNS = [(form, name) for form, whole in FORMS.items() for name in list(whole)[1:]]


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(("form", "short"), COLUMNS, ids=str)
def test_the_columns_of_a_form_are_of_one_length(form: Any, short: str) -> None:
    whole = FORMS[form]
    assert len(form(**whole)) == 3
    with pytest.raises(ShapeError, match=rf"{form.__name__}: expected {short} of shape \(3,\)"):
        form(**{**whole, short: whole[short][:2]})


@pytest.mark.parametrize(
    ("target", "weight", "message"),
    [
        ([0.0, 1.5], [1.0, 1.0], r"targets in \[0, 1\]"),
        ([-0.1, 0.5], [1.0, 1.0], r"targets in \[0, 1\]"),
        ([np.nan, 0.5], [1.0, 1.0], r"targets in \[0, 1\]"),
        ([0.0, 1.0], [1.0, -1.0], "weights >= 0"),
    ],
)
def test_targets_are_probabilities_and_weights_not_negative(
    target: list[float], weight: list[float], message: str
) -> None:
    with pytest.raises(ShapeError, match=message):
        Preferences(np.zeros((2, 2), dtype=np.int64), np.array(target), np.array(weight))


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(("target", "weight"), [(1, 2), (2, 1)])
def test_each_pair_has_one_target_and_one_weight(target: int, weight: int) -> None:
    with pytest.raises(ShapeError, match=r"Preferences: expected (target|weight)"):
        Preferences(np.zeros((2, 2), dtype=np.int64), np.zeros(target), np.zeros(weight))


def test_a_question_that_several_answered_is_one_label() -> None:
    said = annotations([0, 0, 1, 1], [Choice.LEFT, Choice.RIGHT, Choice.EQUAL, Choice.SKIP])
    assert answers(said).labels == 2


def test_a_question_that_everybody_skipped_is_no_label() -> None:
    said = annotations([0, 1, 1], [Choice.LEFT, Choice.SKIP, Choice.SKIP])
    assert answers(said).labels == 1


def test_a_group_that_several_ranked_counts_once_by_its_places() -> None:
    # Two workers order clips 0, 1, 2 differently; clips 3, 4, 5 are ranked by one.
    said = rankings([[0, 1, 2], [2, 0, 1], [5, 3, 4]], places=[2, 2, 1], worker=[0, 1, 0])
    assert answers(rankings=said).labels == 2 + 1


def test_a_moment_that_several_rated_is_one_label_and_another_moment_another() -> None:
    said = ratings([0, 0, 0, 1], [1, 2, 3, 4], step=[2, 2, 3, WHOLE], worker=[0, 1, 0, EXPERT])
    assert answers(ratings=said).labels == 3


def test_no_answer_at_all_is_no_label_and_costs_nothing() -> None:
    nothing = answers()
    assert (nothing.labels, nothing.cost) == (0, 0)
    assert [len(form) for form in nothing.forms] == [0, 0, 0]


def test_the_cost_is_that_of_all_forms() -> None:
    none = np.empty(0, dtype=np.int64)
    compared = Comparisons(none + 0, none, none, np.empty(0), np.empty(0))
    one = np.zeros(1, dtype=np.int64)
    ranked = Rankings(np.array([[0, 1]]), one + 1, one, np.zeros(1), np.array([0.5]))
    rated = Ratings(one, one, np.zeros(1), one, np.zeros(1), np.array([0.25]))
    assert answers(compared, ranked, rated).cost == 0.75


def stated(**given: Any) -> list[list[int]]:
    """The orders that one ranking of clips 7, 8, 9 states, by place."""
    (beats,) = rankings([[7, 8, 9]], **given).beats
    found: list[list[int]] = np.argwhere(beats).tolist()
    return found


def test_a_ranking_puts_each_named_place_before_all_that_come_after_it() -> None:
    assert stated() == [[0, 1], [0, 2], [1, 2]]
    assert stated(places=[1]) == [[0, 1], [0, 2]]
    (short,) = rankings([[7, 8, EMPTY]], places=[2]).beats
    assert np.argwhere(short).tolist() == [[0, 1]]


def test_segments_that_share_a_place_say_nothing_of_each_other() -> None:
    assert stated(tied=[[0, 1, 0]]) == [[0, 2], [1, 2]]
    assert stated(tied=[[0, 0, 1]]) == [[0, 1], [0, 2]]
    assert stated(tied=[[0, 1, 1]]) == []
    # The second clip shares the only place that is named, but is not said to beat the third.
    assert stated(tied=[[0, 1, 0]], places=[1]) == [[0, 2]]


def equal(**given: Any) -> list[list[int]]:
    """The places of clips 7, 8, 9 that are said to be shared."""
    (equals,) = rankings([[7, 8, 9]], **given).equals
    found: list[list[int]] = np.argwhere(equals).tolist()
    return found


def test_places_are_shared_where_that_is_said_of_a_named_one() -> None:
    assert equal() == []
    assert equal(tied=[[0, 1, 0]]) == [[0, 1]]
    assert equal(tied=[[0, 1, 1]]) == [[0, 1], [0, 2], [1, 2]]
    assert equal(tied=[[0, 1, 1]], places=[1]) == [[0, 1], [0, 2]]
    assert equal(tied=[[0, 0, 1]], places=[1]) == []


@pytest.mark.usefixtures("unchecked")
def test_ties_are_told_of_every_place() -> None:
    with pytest.raises(ShapeError, match=r"Rankings: expected tied of shape \(1, 3\)"):
        rankings([[7, 8, 9]], tied=[[0, 1]])


def test_empty_forms_are_empty() -> None:
    assert [len(f()) for f in (no_queries, no_comparisons, no_rankings, no_ratings)] == [0] * 4
    assert no_queries(3).items.shape == (0, 3)


def test_concatenate_joins_each_field() -> None:
    first = annotations([0, 1], [Choice.LEFT, Choice.SKIP])
    joined = concatenate(first, annotations([2], [Choice.EQUAL]))
    np.testing.assert_array_equal(joined.query, [0, 1, 2])
    np.testing.assert_array_equal(joined.choice, [0, 3, 2])


def test_where_keeps_the_chosen_rows_of_each_field() -> None:
    kept = select(ratings([5, 6, 7], [0.1, 0.2, 0.3], worker=[1, 2, 3]), np.array([1, 0, 1]) > 0)
    np.testing.assert_array_equal(kept.segment, [5, 7])
    np.testing.assert_array_equal(kept.value, [0.1, 0.3])
    np.testing.assert_array_equal(kept.worker, [1, 3])
    ranked = rankings([[0, 1], [2, 3]], tied=[[0, 0], [0, 1]])
    second = np.array([False, True])
    np.testing.assert_array_equal(select(ranked, second).tied, [[False, True]])
    assert select(rankings([[0, 1], [2, 3]]), second).tied is None
