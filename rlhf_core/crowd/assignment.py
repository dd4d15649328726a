"""Assignment of questions to workers: distinct workers for each query, and adaptive redundancy."""

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.special import expit

PRIOR_RIGHT, PRIOR_WRONG = 3.0, 2.0
"""Prior counts of right and wrong judgements of each worker."""
GRID = (np.arange(400) + 0.5) / 400
"""Accuracies at which a posterior is evaluated."""


def assign_evenly(
    count: int,
    each: int,
    active: Int[np.ndarray, " A"],
    load: Int[np.ndarray, " W"],
    rng: np.random.Generator,
) -> tuple[Int[np.ndarray, " R"], Int[np.ndarray, " R"]]:
    """Assign `each` distinct workers to each question, those with the least load first.

    Returns:
        Question and worker (R,) of each judgement.
    """
    each = min(each, len(active))
    shuffled = rng.permutation(active)
    queue = shuffled[np.argsort(load[shuffled], kind="stable")]
    place = np.arange(count * each)
    return place // max(each, 1), queue[place % len(queue)]


def pick_distinct(
    count: int, each: int, active: Int[np.ndarray, " A"], rng: np.random.Generator
) -> tuple[Int[np.ndarray, " R"], Int[np.ndarray, " R"]]:
    """Assign `each` distinct workers to each question, drawn independently for every question.

    Returns:
        Question and worker (R,) of each judgement.
    """
    each = min(each, len(active))
    chosen = np.argsort(rng.random((count, len(active))), axis=1)[:, :each]
    return np.repeat(np.arange(count), each), active[chosen.ravel()]


def pick_next(
    asked: Bool[np.ndarray, "N A"],
    right: Float[np.ndarray, " A"],
    wrong: Float[np.ndarray, " A"],
    threshold: float,
    rng: np.random.Generator,
) -> Int[np.ndarray, " N"]:
    """Choose one more worker for each query, who has not answered it yet.

    For each worker and query an accuracy is drawn from the worker's posterior. All workers whose
    draw is above the threshold are equally likely, so that work is shared and done in parallel.
    Where all draws are below it, the worker with the highest draw is chosen.

    Args:
        asked: whether each query was put to each active worker.
        right: expected right judgements of each active worker.
        wrong: expected wrong judgements.
        threshold: of accuracy.
        rng: the source of randomness.

    Returns:
        Position of the chosen worker among the active ones, for each query.
    """
    drawn = rng.beta(PRIOR_RIGHT + right, PRIOR_WRONG + wrong, asked.shape)
    rank = np.where(drawn > threshold, 1 + rng.random(asked.shape), drawn)
    return np.where(asked, -1.0, rank).argmax(axis=1)


def failing(
    gold_right: Int[np.ndarray, " W"], gold_answered: Int[np.ndarray, " W"], threshold: float
) -> Float[np.ndarray, " W"]:
    """P(accuracy <= threshold | gold answers) of each worker, with a uniform prior."""
    wrong = gold_answered - gold_right
    logs = gold_right[:, None] * np.log(GRID) + wrong[:, None] * np.log1p(-GRID)
    mass = np.exp(logs - logs.max(axis=1, keepdims=True))
    return mass[:, threshold >= GRID].sum(axis=1) / mass.sum(axis=1)


def dismissals(
    dismissed: Bool[np.ndarray, " W"],
    gold_right: Int[np.ndarray, " W"],
    gold_answered: Int[np.ndarray, " W"],
    threshold: float,
    confidence: float,
) -> Bool[np.ndarray, " W"]:
    """Dismiss workers who fail gold questions; the one least likely to fail always remains."""
    chance = failing(gold_right, gold_answered, threshold)
    updated = dismissed | (chance > confidence)
    if updated.all():
        updated[np.argmin(chance)] = False
    return updated


def consensus(
    query: Int[np.ndarray, " R"],
    worker: Int[np.ndarray, " R"],
    right: Int[np.ndarray, " R"],
    known: Float[np.ndarray, " N"],
    before: tuple[Float[np.ndarray, " W"], Float[np.ndarray, " W"]],
) -> tuple[Float[np.ndarray, " N"], tuple[Float[np.ndarray, " W"], Float[np.ndarray, " W"]]]:
    """P(right side preferred) of each query, and right and wrong judgements of each worker.

    Expectation-maximisation with one accuracy for each worker:

        log odds_q = sum over judgements of +-log(a_w / (1 - a_w))
        a_w = (PRIOR_RIGHT + right_w) / (PRIOR_RIGHT + PRIOR_WRONG + right_w + wrong_w)

    Args:
        query: of each judgement.
        worker: of each judgement.
        right: 1 where the right side was chosen.
        known: P(right) of gold questions, NaN for the others.
        before: right and wrong judgements of earlier rounds.
    """
    sign = 2.0 * right - 1
    gold = ~np.isnan(known)
    counts = np.bincount(worker, minlength=len(before[0]))
    good, bad = before
    belief = known
    for _ in range(20):
        log_odds = np.log((PRIOR_RIGHT + good) / (PRIOR_WRONG + bad))
        odds = np.bincount(query, sign * log_odds[worker], len(known))
        belief = np.where(gold, known, expit(odds))
        correct = np.where(right == 1, belief[query], 1 - belief[query])
        hits = np.bincount(worker, correct, len(counts))
        good, bad = before[0] + hits, before[1] + counts - hits
    return belief, (good, bad)
