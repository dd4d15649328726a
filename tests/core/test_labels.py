"""From judgements to labels: what is kept, where it points, and what a worker is worth."""

from typing import Any

import numpy as np
import pytest

from rlhf_core.aggregation.majority import Majority
from rlhf_core.crowd.weights import rating_weights
from rlhf_core.judgements import EMPTY, EXPERT, Choice
from rlhf_core.labels import Evidence, Workers
from rlhf_core.reward_learning.evidence import gathered, labelled
from tests.core.examples import (
    annotations,
    answers,
    asking,
    evidence,
    labels,
    rankings,
    ratings,
    segments,
)

ASKED = asking(
    segments([[10], [11], [12], [13]]),
    segments([[0]]),
    comparison=[[0, 1], [2, 3]],
    ranking=[[0, 1, 2]],
    rating=[3],
)


def of(known: Evidence, form: str) -> Any:
    """The judgements of one form."""
    return known.judgements[form]


def shown(known: Evidence, items: np.ndarray) -> list[Any]:
    """The numbers that clips at these positions show; None for nobody."""
    numbers = known.segments.observations[:, 0, 0]
    rows: list[Any] = np.where(items == EMPTY, None, numbers[items].astype(int)).tolist()
    return rows


def test_positions_move_on_with_every_round() -> None:
    said = answers(
        annotations([1, 0], [Choice.LEFT, Choice.RIGHT]),
        rankings([[2, 0, 1]]),
        ratings([3], [0.5]),
    )
    first = gathered(None, ASKED, said)
    other = asking(segments([[20], [21]]), segments([[0]]), comparison=[[1, 0]])
    second = gathered(
        first,
        other,
        answers(annotations([0], [Choice.LEFT]), rankings([[1, 0]]), ratings([0], [1])),
    )
    assert shown(second, second.queries["comparison"].items) == [[10, 11], [12, 13], [21, 20]]
    assert of(second, "comparison").query.tolist() == [1, 0, 2]
    assert shown(second, of(second, "ranking").items) == [[12, 10, 11], [21, 20, None]]
    assert shown(second, of(second, "rating").segment) == [13, 20]


def test_clips_that_an_annotator_brings_come_after_those_that_were_asked_about() -> None:
    # The expert's own clip, 99, is put before the two of a pair.
    said = answers(rankings=rankings([[4, 0, 1]], places=[1]), segments=segments([[99]]))
    first = gathered(None, ASKED, said)
    assert shown(first, of(first, "ranking").items) == [[99, 10, 11]]
    again = gathered(
        first,
        ASKED,
        answers(rankings=rankings([[4, 2, 3], [5, 0, 1]]), segments=segments([[77], [88]])),
    )
    assert shown(again, of(again, "ranking").items) == [[99, 10, 11], [77, 12, 13], [88, 10, 11]]
    assert len(again.segments) == 5 + 6


def test_shorter_groups_are_filled_up_with_nobody_and_ties_are_kept() -> None:
    first = gathered(None, ASKED, answers(rankings=rankings([[0, 1]], tied=[[0, 1]])))
    second = gathered(first, ASKED, answers(rankings=rankings([[3, 2, 1], [2, 0, EMPTY]])))
    assert shown(second, of(second, "ranking").items) == [
        [10, 11, None], [13, 12, 11], [12, 10, None]
    ]  # fmt: skip
    assert of(second, "ranking").tied.tolist() == [[False, True, False], [False] * 3, [False] * 3]
    third = gathered(second, ASKED, answers(rankings=rankings([[1, 0]])))
    assert shown(third, of(third, "ranking").items)[-1] == [11, 10, None]


def test_a_round_without_rankings_keeps_those_that_there_are() -> None:
    first = gathered(None, ASKED, answers(annotations([0], [Choice.LEFT])))
    second = gathered(first, ASKED, answers(rankings=rankings([[0, 1, 2]])))
    third = gathered(second, ASKED, answers(annotations([0], [Choice.LEFT])))
    assert of(third, "ranking").items.tolist() == [[4, 5, 6]]
    assert of(third, "comparison").query.tolist() == [0, 4]


def test_every_order_that_a_ranking_states_is_a_pair() -> None:
    orders = rankings([[5, 3, 7], [1, 2, EMPTY]], places=[1, 1], worker=[4, 6]).orders()
    row, worker, better, worse = orders
    assert worker.tolist() == [4, 4, 6]
    found = list(zip(row.tolist(), better.tolist(), worse.tolist(), strict=True))
    assert found == [(0, 5, 3), (0, 5, 7), (1, 1, 2)]


def test_labels_are_chosen_by_the_clips_that_they_speak_of() -> None:
    from rlhf_core.labels import Preferences

    said = labels(
        Preferences(np.array([[0, 1], [2, 3]]), np.array([0.0, 1.0]), np.ones(2)),
        rankings([[2, 3], [1, 0]]),
        ratings([3, 2], [0.1, 0.2]),
    )
    chosen = np.array([False, False, True, False])
    some: dict[str, Any] = {kind: made.about(chosen) for kind, made in said.items()}
    assert some["comparison"].pair.tolist() == [[2, 3]]
    assert some["ranking"].rankings.items.tolist() == [[2, 3]]
    assert some["rating"].ratings.segment.tolist() == [2]
    assert [len(made) for made in some.values()] == [1, 1, 1]


def rated(*rows: list[float]) -> np.ndarray:
    """Weights of workers 0, 1, ... who each rate clips 0, 1, ... so; NaN: did not."""
    table = np.array(rows, dtype=np.float64)
    worker, clip = np.nonzero(~np.isnan(table))
    weight = rating_weights(ratings(clip, table[worker, clip], worker=worker))
    return np.array([weight[worker == w].mean() for w in range(len(table))])


UP = [0.0, 1, 2, 3, 4, 5]
DOWN = UP[::-1]


@pytest.mark.parametrize(
    ("rows", "weights"),
    [
        ([UP], [1]),
        ([UP, UP], [1, 1]),
        ([UP, UP, UP, DOWN], [1, 1, 1, 0]),
        # Everybody has a scale of his own.
        ([UP, [10 * x - 7 for x in UP], UP, DOWN], [1, 1, 1, 0]),
        # A worker who always says the same says nothing.
        ([UP, UP, UP, [3.0] * 6], [1, 1, 1, 0]),
        # Two against one is a majority too.
        ([UP, UP, DOWN], [1, 1, 0]),
    ],
)
def test_a_worker_whose_ratings_run_against_the_others_counts_for_nothing(
    rows: list[list[float]], weights: list[float]
) -> None:
    np.testing.assert_allclose(rated(*rows), weights, atol=2e-3)


def test_a_worker_whose_clips_nobody_else_rated_counts_fully() -> None:
    nan = float("nan")
    alone = [nan] * 6 + DOWN
    np.testing.assert_allclose(rated(UP + [nan] * 6, UP + [nan] * 6, alone), [1, 1, 1])


def test_a_noisy_worker_counts_less_than_an_exact_one() -> None:
    rng = np.random.default_rng(0)
    truth = rng.normal(size=400)
    rows = [truth + noise * rng.normal(size=400) for noise in (0.2, 0.2, 0.2, 1.0, 3.0)]
    weights = rated(*(row.tolist() for row in rows))
    assert weights[:3].min() > weights[3] > weights[4] > 0
    # The first eigenvector of the correlations 1 / sqrt((1 + s^2) (1 + t^2)), its largest entry 1.
    share = 1 / np.sqrt(1 + np.square([0.2, 0.2, 0.2, 1.0, 3.0]))
    exact = np.outer(share, share)
    np.fill_diagonal(exact, 1)
    common = np.abs(np.linalg.eigh(exact)[1][:, -1])
    np.testing.assert_allclose(weights, common / common.max(), atol=0.06)


def test_moments_of_one_clip_are_different_questions() -> None:
    said = ratings([0, 0, 0, 0, 0, 0], UP, step=np.arange(6), worker=[0, 0, 0, 1, 1, 1])
    np.testing.assert_array_equal(rating_weights(said), np.ones(6))


def ordered(workers: dict[int, bool], groups: int = 8) -> Evidence:
    """Groups of three, each ranked by all workers: in the true order, or (False) reversed."""
    rows, people = [], []
    for group in range(groups):
        for worker, honest in workers.items():
            clips = [3 * group, 3 * group + 1, 3 * group + 2]
            rows.append(clips if honest else clips[::-1])
            people.append(worker)
    return evidence(segments(np.zeros((3 * groups, 1))), ranked=rankings(rows, worker=people))


def weighed(known: Evidence) -> tuple[dict[str, Any], Workers, np.ndarray]:
    """Labels, workers, and the weights of rankings."""
    made, workers = labelled(known, (), Majority())
    return dict(made), workers, made["ranking"].weight


def test_rankings_of_a_worker_who_reverses_them_weigh_nothing() -> None:
    known = ordered({0: True, 4: True, 9: False})
    made, workers, weight = weighed(known)
    people = of(known, "ranking").worker
    assert set(weight[people == 9]) == {0.0}
    # 24 pairs, all agreeing: (24 + 1) / (24 + 2), twice as far above chance.
    np.testing.assert_allclose(weight[people != 9], 2 * 25 / 26 - 1)
    assert workers.worker.tolist() == [0, 4, 9]
    assert set(made) == {"ranking"}


def test_a_worker_alone_is_believed() -> None:
    _, workers, weight = weighed(ordered({3: True}))
    np.testing.assert_array_equal(weight, np.ones(8))
    assert len(workers) == 0


def test_the_experts_rankings_weigh_fully_and_tell_on_the_others() -> None:
    known = ordered({EXPERT: True, 1: False, 2: False, 3: True})
    _, _, weight = weighed(known)
    people = of(known, "ranking").worker
    assert {w: set(np.round(weight[people == w], 3)) for w in (EXPERT, 1, 2, 3)} == {
        EXPERT: {1.0}, 1: {0.0}, 2: {0.0}, 3: {round(2 * 25 / 26 - 1, 3)}
    }  # fmt: skip


def test_comparisons_tell_what_a_rankers_word_is_worth() -> None:
    # Worker 1 contradicts the three others in forty comparisons, and ranks alone.
    query = np.repeat(np.arange(40), 4)
    worker = np.tile([0, 1, 2, 3], 40)
    choice = [Choice.LEFT if w == 1 else Choice.RIGHT for w in worker]
    known = evidence(
        segments(np.zeros((4, 1))), [[0, 1]] * 40, annotations(query.tolist(), choice, worker),
        rankings([[0, 1, 2], [0, 2, 3]], worker=[1, 0]),
    )  # fmt: skip
    made, _, weight = weighed(known)
    assert weight[0] == 0
    assert weight[1] > 0.9
    assert len(made["comparison"]) == 40
