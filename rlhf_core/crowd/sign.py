"""Which of two mirrored explanations of a crowd's answers is the right one.

Turn all scores round, and let every honest worker be an inverted one: without gold questions the
answers are as likely as before. What remains to tell the two apart is that most workers are honest.
"""

import numpy as np
from jaxtyping import Float, Int
from scipy.special import betainc, expit

from rlhf_core.crowd.scores import difference

SURE_LOG_ODDS = 3.0
"""Odds of 20 to 1, below which the answers do not tell which clips are the better ones."""


def honest_workers(
    agreeing: Float[np.ndarray, " W"], against: Float[np.ndarray, " W"]
) -> Float[np.ndarray, " W"]:
    """Return the probability of each worker to agree more often than not.

        P(p > 1/2),    p ~ Beta(agreeing + 1, against + 1)

    Each worker counts once, however many answers there are of him and however sure they are: a few
    diligent inverters do not outvote many tired honest workers. Nothing but the answers counts: a
    prior for honesty would find weak workers honest in both explanations, and strong inverters in
    the wrong one alone.

    Args:
        agreeing: expected number of answers that agree with the labels.
        against: expected number of those that do not.
    """
    probability: np.ndarray = 1 - betainc(agreeing + 1, against + 1, 0.5)
    return probability


def majority(honest: Float[np.ndarray, " W"], attentive: Float[np.ndarray, " W"]) -> float:
    """Return the log-odds that more than half of all workers like these are honest.

        log P(share > 1/2) - log P(share < 1/2),    share ~ Beta(n + 1, m + 1),
        n = sum over w of attentive_w honest_w,     m = sum over w of attentive_w (1 - honest_w)

    With the workers that answered half of a population is no firm ground: 14 honest ones of 25 are
    odds of 3 to 1, and 20 of 25 of 600 to 1.

    Args:
        honest: probability of each worker to be honest, of `honest_workers`.
        attentive: share of answers that depend on the clips; who presses one side tells nothing.
    """
    count = float((attentive * honest).sum())
    against = float(attentive.sum()) - count
    below, above = betainc(count + 1, against + 1, 0.5), betainc(against + 1, count + 1, 0.5)
    smallest = np.finfo(np.float64).tiny
    return float(np.log(max(above, smallest)) - np.log(max(below, smallest)))


def agreement(
    score: Float[np.ndarray, " S"],
    pair: Int[np.ndarray, "N 2"],
    target: Float[np.ndarray, " N"],
) -> float:
    """Return the mean of (2 sigma(d) - 1) (2 target - 1) over pairs: 1 alike, -1 turned round."""
    if not len(pair):
        return 0.0
    return float(((2 * expit(difference(score, pair)) - 1) * (2 * target - 1)).mean())
