"""Who is asked what: distinct workers a query, gold first, more judgements where it is unclear."""

import numpy as np
from jaxtyping import Bool, Float, Int

PRIOR_RIGHT, PRIOR_WRONG = 3.0, 2.0
"""Judgements that a worker is supposed to have given before the first one."""
GRID = (np.arange(400) + 0.5) / 400
"""Accuracies at which a posterior is evaluated."""


def spread_evenly(
    count: int,
    each: int,
    active: Int[np.ndarray, " A"],
    load: Int[np.ndarray, " W"],
    rng: np.random.Generator,
) -> tuple[Int[np.ndarray, " R"], Int[np.ndarray, " R"]]:
    """Questions and workers, `each` distinct ones a question, those with the least load first."""
    each = min(each, len(active))
    mixed = rng.permutation(active)
    line = mixed[np.argsort(load[mixed], kind="stable")]
    place = np.arange(count * each)
    return place // max(each, 1), line[place % len(line)]


def pick_distinct(
    count: int, each: int, active: Int[np.ndarray, " A"], rng: np.random.Generator
) -> tuple[Int[np.ndarray, " R"], Int[np.ndarray, " R"]]:
    """Questions and workers, `each` distinct ones a question, drawn anew for every question."""
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
    """One worker more for each query, who was not asked it yet.

    An accuracy is drawn from the posterior of each worker and query; anybody whose draw is above
    the threshold is as likely as the next, so that work goes to a worker as often as they
    may be worth it, and in parallel. Where all draws fall below, the highest one is taken.
    """
    drawn = rng.beta(PRIOR_RIGHT + right, PRIOR_WRONG + wrong, asked.shape)
    rank = np.where(drawn > threshold, 1 + rng.random(asked.shape), drawn)
    return np.where(asked, -1.0, rank).argmax(axis=1)


def failing(
    gold_right: Int[np.ndarray, " W"], gold_seen: Int[np.ndarray, " W"], threshold: float
) -> Float[np.ndarray, " W"]:
    """P(accuracy <= threshold | gold answers), uniform before the first of them."""
    wrong = gold_seen - gold_right
    logs = gold_right[:, None] * np.log(GRID) + wrong[:, None] * np.log1p(-GRID)
    mass = np.exp(logs - logs.max(axis=1, keepdims=True))
    return mass[:, threshold >= GRID].sum(axis=1) / mass.sum(axis=1)


def dismissals(
    dismissed: Bool[np.ndarray, " W"],
    gold_right: Int[np.ndarray, " W"],
    gold_seen: Int[np.ndarray, " W"],
    threshold: float,
    confidence: float,
) -> Bool[np.ndarray, " W"]:
    """Who is dismissed from now on; if that leaves nobody, the least failing worker stays."""
    chance = failing(gold_right, gold_seen, threshold)
    gone = dismissed | (chance > confidence)
    if gone.all():
        gone[np.argmin(chance)] = False
    return gone


def consensus(
    query: Int[np.ndarray, " R"],
    worker: Int[np.ndarray, " R"],
    right: Int[np.ndarray, " R"],
    known: Float[np.ndarray, " N"],
    before: tuple[Float[np.ndarray, " W"], Float[np.ndarray, " W"]],
) -> tuple[Float[np.ndarray, " N"], tuple[Float[np.ndarray, " W"], Float[np.ndarray, " W"]]]:
    """P(right side better) of each query and judgements right and wrong of each worker.

    Expectation-maximisation with one accuracy a worker:

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
    given = np.bincount(worker, minlength=len(before[0]))
    good, bad = before
    belief = known
    for _ in range(20):
        ahead, behind = PRIOR_RIGHT + good, PRIOR_WRONG + bad
        trust = np.log(ahead / behind)
        odds = np.bincount(query, sign * trust[worker], len(known))
        belief = np.where(gold, known, 0.5 + 0.5 * np.tanh(odds / 2))
        correct = np.where(right == 1, belief[query], 1 - belief[query])
        hits = np.bincount(worker, correct, len(given))
        good, bad = before[0] + hits, before[1] + given - hits
    return belief, (good, bad)
