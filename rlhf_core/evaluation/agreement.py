"""How far answers agree with the truth: the ceiling of what a reward fitted to them can reach."""

from typing import NamedTuple

import numpy as np

from rlhf_core.evidence import NOBODY, WHOLE, Answers, Choice, Request
from rlhf_core.types import Truth


class Agreement(NamedTuple):
    """Answers that put clips in order, as the true returns do or not; ties left out."""

    right: float
    """Observations in the true order. One that orders several pairs counts by its share."""
    judged: float
    """Observations in all."""


def agreement(request: Request, answers: Answers, truth: Truth) -> Agreement:
    """Compare each answer with the order of the true returns.

    The several judgements of one pair count as their majority. Clips that annotators brought have
    no known return; what is said of them is left out.
    """
    returns = truth.segments.sum(axis=1)
    counts = [
        _comparisons(request, answers, returns),
        _rankings(answers, returns),
        _ratings(answers, returns),
    ]
    return Agreement(sum(c.right for c in counts), sum(c.judged for c in counts))


def _comparisons(request: Request, answers: Answers, returns: np.ndarray) -> Agreement:
    given, pairs = answers.comparisons, request.queries.items
    strict = given.choice < Choice.EQUAL
    vote = np.where(given.choice == Choice.RIGHT, 1.0, -1.0)[strict]
    majority = np.sign(np.bincount(given.query[strict], vote, minlength=len(pairs)))
    better = np.sign(returns[pairs[:, 1]] - returns[pairs[:, 0]])
    judged = (majority != 0) & (better != 0)
    return Agreement(float((majority == better)[judged].sum()), float(judged.sum()))


def _rankings(answers: Answers, returns: np.ndarray) -> Agreement:
    given = answers.rankings
    known = (given.items != NOBODY) & (given.items < len(returns))
    value = returns[np.where(known, given.items, 0)]
    stated = given.beats & known[:, :, None] & known[:, None, :]
    gap = value[:, :, None] - value[:, None, :]
    return _shares((stated & (gap > 0)).sum(axis=(1, 2)), (stated & (gap != 0)).sum(axis=(1, 2)))


def _ratings(answers: Answers, returns: np.ndarray) -> Agreement:
    given = answers.ratings
    of_clip = (given.step == WHOLE) & (given.segment < len(returns))
    value, true = given.value[of_clip], returns[given.segment[of_clip]]
    higher = np.sign(value[:, None] - value)
    order = np.sign(true[:, None] - true)
    strict = (higher != 0) & (order != 0)
    return _shares(((higher == order) & strict).sum(axis=1), strict.sum(axis=1))


def _shares(right: np.ndarray, judged: np.ndarray) -> Agreement:
    """Each observation counts once, right by its share of rightly ordered pairs."""
    some = judged > 0
    return Agreement(float((right[some] / judged[some]).sum()), float(some.sum()))
