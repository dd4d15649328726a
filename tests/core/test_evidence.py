"""Questions, answers and labels refuse what does not fit together, and are counted rightly."""

from typing import Any

import numpy as np
import pytest

from rlhf_core.answers import Comparisons, Rankings, Ratings
from rlhf_core.errors import ShapeError
from rlhf_core.judgements import EMPTY, EXPERT, WHOLE, Choice, concatenate, select
from rlhf_core.labels import Preferences, Workers
from rlhf_core.questions import Queries, no_queries, no_questions
from rlhf_core.reward_learning.evidence import no_comparisons
from tests.core.examples import annotations, answers, asking, rankings, ratings, segments

CLIPS = segments([[1], [2], [3], [4]])


@pytest.mark.parametrize(
    "asked",
    [
        {"comparison": [[0, 4]]},
        {"comparison": [[-1, 0]]},
        {"ranking": [[0, 1, 4]]},
        {"ranking": [[0, EMPTY, 1]]},
        {"rating": [4]},
        {"signal": [(-1, 0)]},
    ],
    ids=str,
)
def test_queries_point_into_their_segments(asked: dict[str, Any]) -> None:
    with pytest.raises(ShapeError, match="Request: expected positions among 4 segments"):
        asking(CLIPS, **asked)


@pytest.mark.usefixtures("unchecked")
def test_queries_have_two_axes_one_step_each_and_a_worth() -> None:
    with pytest.raises(ShapeError, match=r"Queries: expected items of shape \(N, K\), actual: \(3"):
        Queries(np.zeros(3, dtype=np.int64))
    with pytest.raises(ShapeError, match=r"Queries: expected step of shape \(3,\)"):
        Queries(np.zeros((3, 1), dtype=np.int64), np.zeros(2, dtype=np.int64))
    with pytest.raises(
        ShapeError, match="Queries: expected a worth of at least 1 label, actual: 0"
    ):
        Queries(np.zeros((3, 1), dtype=np.int64), worth=0)


def test_a_request_may_ask_nothing() -> None:
    nothing = no_questions(CLIPS)
    assert (nothing.labels, nothing.count) == (0, 0)


def test_a_ranking_counts_by_its_named_places_and_the_rest_by_the_query() -> None:
    forms = {"comparison": [[0, 1], [2, 3]], "rating": [0], "signal": [(1, 0), (1, 0)]}
    whole = asking(CLIPS, ranking=[[0, 1, 2, 3]], **forms)
    assert (whole.labels, whole.count) == (2 + 3 + 3, 2 + 1 + 3)
    best = asking(CLIPS, best_of=[[0, 1, 2, 3]], **forms)
    assert (best.labels, best.count) == (2 + 1 + 3, 2 + 1 + 3)


def test_the_identifier_of_a_query_is_that_of_its_content() -> None:
    asked = asking(CLIPS, comparison=[[0, 1], [1, 0], [0, 2]])
    first, turned, other = asked.ids("comparison")
    assert len({first, turned, other}) == 3
    assert all(len(identifier) == 32 for identifier in (first, turned, other))
    # The same clips at other positions, in a request with others, are the same query.
    moved = segments([[9], [1], [2]])
    assert asking(moved, comparison=[[1, 2]]).ids("comparison") == [first]
    # A clip that shows something else, another form or another moment is another query.
    assert asking(segments([[1], [2.5]]), comparison=[[0, 1]]).ids("comparison") != [first]
    assert asking(CLIPS, ranking=[[0, 1]]).ids("ranking") != [first]
    moments = asking(CLIPS, signal=[(0, 0), (0, 0), (1, 0)]).ids("signal")
    assert moments[1] == f"{moments[0]}-1"
    assert len(set(moments)) == 3


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
    assert (nothing.count, nothing.skipped, nothing.seconds) == (0, 0, 0)


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
    assert len(no_queries()) == len(no_comparisons()) == 0
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
