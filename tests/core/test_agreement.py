"""How many answers put clips in the true order, by hand."""

from typing import Any

import numpy as np
import pytest

from rlhf_core.judgements import EMPTY, EXPERT, WHOLE, Choice
from rlhf_core.round_metrics import agreement
from rlhf_core.types import Truth
from tests.core.examples import annotations, answers, asking, rankings, ratings, segments

# Four clips of two steps with returns 1, 2, 3 and 3.
TRUE = np.array([[1.0, 0], [0, 2], [1, 2], [3, 0]])
CLIPS = segments(np.zeros((4, 2)))
TRUTH = Truth(TRUE, TRUE, np.empty(0))
L, R, EQUAL, SKIP = Choice.LEFT, Choice.RIGHT, Choice.EQUAL, Choice.SKIP


def agreed(pairs: Any = (), **judgements: Any) -> tuple[float, float]:
    """Answers in the true order, and those that order clips at all."""
    metrics = agreement(asking(CLIPS, comparison=pairs), answers(**judgements), TRUTH)
    if not metrics:
        return 0, 0
    correct, ordered = (metrics[f"feedback/agreement_{n}"] for n in ("correct", "ordered"))
    assert metrics["feedback/agreement"] == correct / ordered
    return correct, ordered


@pytest.mark.parametrize(
    ("query", "choice", "expected"),
    [
        ([0], [R], (1, 1)),
        ([0], [L], (0, 1)),
        ([0], [EQUAL], (0, 0)),
        ([0], [SKIP], (0, 0)),
        ([1], [L], (0, 0)),  # a true tie
        ([0, 2], [R, R], (1, 2)),
        # Three judgements of one pair are their majority.
        ([0, 0, 0], [R, L, R], (1, 1)),
        ([0, 0, 0], [L, L, R], (0, 1)),
        ([0, 0], [L, R], (0, 0)),
        ([0, 0, 0], [R, EQUAL, SKIP], (1, 1)),
    ],
)
def test_comparisons(query: list[int], choice: list[Choice], expected: tuple[int, int]) -> None:
    said = annotations(query, choice, worker=np.arange(len(query)).tolist())
    assert agreed([[0, 1], [2, 3], [2, 0]], comparisons=said) == expected


@pytest.mark.parametrize(
    ("items", "places", "tied", "expected"),
    [
        ([2, 1, 0], 2, None, (1, 1)),
        ([0, 1, 2], 2, None, (0, 1)),
        ([2, 0, 1], 2, None, (2 / 3, 1)),
        ([2, 0, 1], 1, None, (1, 1)),
        ([1, 2, 0], 1, None, (1 / 2, 1)),
        ([2, 3, 0], 2, None, (1, 1)),  # the true tie is left out
        ([2, 3], 1, None, (0, 0)),
        ([0, 1, EMPTY], 2, None, (0, 1)),
        ([2, 0, 1], 2, [0, 0, 1], (1, 1)),  # what is said to be equal is left out
        ([4, 0, 1], 1, None, (0, 0)),  # an expert's own clip has no known return
        ([2, 4, 0], 2, None, (1, 1)),
    ],
)
def test_rankings(items: list[int], places: int, tied: Any, expected: tuple[float, float]) -> None:
    said = rankings([items], places=[places], tied=None if tied is None else [tied])
    assert agreed(rankings=said) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("clip", "value", "step", "expected"),
    [
        ([0, 1, 2], [0.1, 0.5, 0.9], WHOLE, (3, 3)),
        ([0, 1, 2], [0.9, 0.5, 0.1], WHOLE, (0, 3)),
        # 0 and 1 are in order, 2 is below both: 1/2, 1/2 and 0 of their two pairs each.
        ([0, 1, 2], [0.5, 0.9, 0.1], WHOLE, (1, 3)),
        ([0, 1], [0.5, 0.5], WHOLE, (0, 0)),
        ([2, 3], [0.1, 0.9], WHOLE, (0, 0)),
        ([0], [0.3], WHOLE, (0, 0)),
        ([0, 1], [0.1, 0.9], 1, (0, 0)),  # moments speak of less than the clip
        ([0, 1, 4], [0.1, 0.9, 0.0], WHOLE, (2, 2)),
    ],
)
def test_ratings(clip: Any, value: Any, step: int, expected: tuple[float, float]) -> None:
    assert agreed(ratings=ratings(clip, value, step)) == pytest.approx(expected)


def test_forms_add_up() -> None:
    assert agreed(
        [[0, 1]],
        comparisons=annotations([0], [L], worker=EXPERT),
        rankings=rankings([[2, 1, 0]]),
        ratings=ratings([0, 1], [0.1, 0.2]),
    ) == (0 + 1 + 2, 1 + 1 + 2)


def test_no_answer_agrees_with_nothing() -> None:
    assert agreed() == (0, 0)
