"""Judgements in the form that aggregators read, and estimates about the workers."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from rlhf_core.answers import Comparisons
from rlhf_core.judgements import EXPERT, Choice
from rlhf_core.labels import Workers
from rlhf_core.questions import Queries

CLASSES = 3
"""LEFT, RIGHT and EQUAL, in the order of `Choice`; a skip has no class."""
RIGHT_SHARE = np.array([0.0, 1.0, 0.5])
"""Vote of each class for the right side: "equal" is half a vote."""


class Votes(NamedTuple):
    """Judgements of workers without skips, and the expert's answers."""

    query: Int[np.ndarray, " R"]
    worker: Int[np.ndarray, " R"]
    """Positions in `workers`."""
    choice: Int[np.ndarray, " R"]
    """A class, below `CLASSES`."""
    workers: Int[np.ndarray, " W"]
    """Numbers of the workers, ascending."""
    gold: Float[np.ndarray, "N C"]
    """Shares of the classes among the expert's answers to each query; 0 where there is none."""

    @property
    def settled(self) -> Bool[np.ndarray, " N"]:
        """Queries that the expert answered."""
        return np.asarray(self.gold.any(axis=1))

    @property
    def answered(self) -> Bool[np.ndarray, " N"]:
        """Queries that get a label."""
        by_workers = np.zeros(len(self.gold), dtype=bool)
        by_workers[self.query] = True
        return by_workers | self.settled

    @property
    def shares(self) -> Float[np.ndarray, "N C"]:
        """Shares of the classes among the judgements; the expert's alone where there are any."""
        cells = CLASSES * self.query + self.choice
        counts = np.bincount(cells, minlength=self.gold.size).reshape(self.gold.shape)
        counts = np.where(self.settled[:, None], self.gold, counts)
        return counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)


def collect_votes(queries: Queries, annotations: Comparisons) -> Votes:
    """Divide judgements into those of workers and those of the expert, without skips."""
    answered = annotations.choice != Choice.SKIP
    expert = answered & (annotations.worker == EXPERT)
    other = answered & (annotations.worker != EXPERT)
    gold = np.zeros((len(queries), CLASSES))
    np.add.at(gold, (annotations.query[expert], annotations.choice[expert]), 1.0)
    gold /= np.maximum(gold.sum(axis=1, keepdims=True), 1)
    # Workers who skipped all queries are reported too, with no judgement.
    workers = np.unique(annotations.worker[annotations.worker != EXPERT])
    return Votes(
        query=annotations.query[other],
        worker=np.searchsorted(workers, annotations.worker[other]),
        choice=annotations.choice[other],
        workers=workers,
        gold=gold,
    )


def report(
    votes: Votes,
    target: Float[np.ndarray, " N"],
    competence: Float[np.ndarray, " W"] | None = None,
) -> Workers:
    """Estimate the competence of the workers and their agreement with the labels.

    Args:
        votes: the judgements.
        target: P(right) of every query; a label of exactly 1/2 agrees with either side by half.
        competence: by default the agreement with Laplace's rule: (agreeing + 1) / (strict + 2).
    """
    count = len(votes.workers)
    strict = votes.choice != Choice.EQUAL
    chose_right = votes.choice[strict] == Choice.RIGHT
    label = target[votes.query[strict]]
    agreed = np.where(label == 0.5, 0.5, (label > 0.5) == chose_right)
    chosen = np.bincount(votes.worker[strict], minlength=count)
    agreeing = np.bincount(votes.worker[strict], agreed, minlength=count)
    agreement = np.full(count, np.nan)
    np.divide(agreeing, chosen, out=agreement, where=chosen > 0)
    return Workers(
        worker=votes.workers,
        judgements=np.bincount(votes.worker, minlength=count),
        competence=(agreeing + 1) / (chosen + 2) if competence is None else competence,
        agreement=agreement,
    )


def certainty(posterior: Float[np.ndarray, "N C"]) -> Float[np.ndarray, " N"]:
    """1 - entropy / log C: 1 where one class has probability 1, 0 where all are equally likely."""
    safe = np.where(posterior > 0, posterior, 1.0)
    entropy = -(posterior * np.log(safe)).sum(axis=1)
    return np.clip(1 - entropy / np.log(posterior.shape[1]), 0, 1)
