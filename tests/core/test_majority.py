"""Votes on paper."""

import numpy as np

from rlhf_core.aggregation.majority import Majority
from rlhf_core.evidence import Annotations, Choice, Preferences, Queries
from tests.core.examples import annotations

QUERIES = Queries(np.array([[0, 1], [2, 3], [4, 5], [6, 7]]))
LEFT, RIGHT, EQUAL, SKIP = Choice


def aggregate(query: list[int], choice: list[Choice]) -> Preferences:
    return Majority().aggregate(QUERIES, annotations(query, choice))


def test_the_target_is_the_share_of_votes_for_the_right_side() -> None:
    result = aggregate(
        [0, 0, 0, 1, 1, 2, 2, 3], [RIGHT, RIGHT, LEFT, EQUAL, RIGHT, LEFT, LEFT, EQUAL]
    )
    np.testing.assert_allclose(result.target, [2 / 3, 3 / 4, 0, 1 / 2])
    np.testing.assert_array_equal(result.weight, [1, 1, 1, 1])
    np.testing.assert_array_equal(result.pair, QUERIES.items)


def test_a_skip_is_no_vote() -> None:
    result = aggregate([0, 0, 1, 1, 3], [SKIP, RIGHT, SKIP, SKIP, LEFT])
    np.testing.assert_array_equal(result.pair, [[0, 1], [6, 7]])
    np.testing.assert_allclose(result.target, [1, 0])


def test_the_order_of_the_answers_does_not_matter() -> None:
    result = aggregate([3, 0, 3], [RIGHT, LEFT, LEFT])
    np.testing.assert_array_equal(result.pair, [[0, 1], [6, 7]])
    np.testing.assert_allclose(result.target, [0, 0.5])


def test_without_an_answer_there_is_no_preference() -> None:
    assert len(aggregate([], [])) == 0
    nothing = Queries(np.empty((0, 2), dtype=np.int64))
    empty: Annotations = annotations([], [])
    assert len(Majority().aggregate(nothing, empty)) == 0
