"""Judgements made ready for an aggregator, and the report on those who gave them."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from rlhf_core.answers import EXPERT, Choice, Comparisons
from rlhf_core.labels import Workers
from rlhf_core.questions import Queries

CLASSES = 3
"""LEFT, RIGHT and EQUAL, in the order of `Choice`; a skip is no answer."""
RIGHT_SHARE = np.array([0.0, 1.0, 0.5])
"""What a class says of the right side: "equal" is half a vote."""


class Votes(NamedTuple):
    """Judgements of workers without skips, apart from what the expert said."""

    query: Int[np.ndarray, " R"]
    worker: Int[np.ndarray, " R"]
    """Positions in `workers`."""
    choice: Int[np.ndarray, " R"]
    """A class, below `CLASSES`."""
    workers: Int[np.ndarray, " W"]
    """Numbers of the workers, ascending."""
    gold: Float[np.ndarray, "N C"]
    """What the expert said of each query as shares of the classes; rows of 0 where nothing."""

    @property
    def settled(self) -> Bool[np.ndarray, " N"]:
        """Queries that the expert spoke of."""
        return np.asarray(self.gold.any(axis=1))

    @property
    def answered(self) -> Bool[np.ndarray, " N"]:
        """Queries that get a label."""
        said = np.zeros(len(self.gold), dtype=bool)
        said[self.query] = True
        return said | self.settled

    @property
    def shares(self) -> Float[np.ndarray, "N C"]:
        """Shares of the classes among the judgements, the expert's alone where there are any."""
        cells = CLASSES * self.query + self.choice
        counts = np.bincount(cells, minlength=self.gold.size).reshape(self.gold.shape)
        counts = np.where(self.settled[:, None], self.gold, counts)
        return counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)


def votes(queries: Queries, annotations: Comparisons) -> Votes:
    """Sort judgements into those of workers and those of the expert; skips are left out."""
    said = annotations.choice != Choice.SKIP
    expert = said & (annotations.worker == EXPERT)
    other = said & (annotations.worker != EXPERT)
    gold = np.zeros((len(queries), CLASSES))
    np.add.at(gold, (annotations.query[expert], annotations.choice[expert]), 1.0)
    gold /= np.maximum(gold.sum(axis=1, keepdims=True), 1)
    # Somebody who only ever skipped is reported too, with no judgement.
    people = np.unique(annotations.worker[annotations.worker != EXPERT])
    return Votes(
        query=annotations.query[other],
        worker=np.searchsorted(people, annotations.worker[other]),
        choice=annotations.choice[other],
        workers=people,
        gold=gold,
    )


def report(
    given: Votes,
    target: Float[np.ndarray, " N"],
    competence: Float[np.ndarray, " W"] | None = None,
) -> Workers:
    """What the labels say of the workers.

    Args:
        given: the judgements.
        target: P(right) of every query; a label of exactly 1/2 agrees with either side by half.
        competence: by default the agreement with Laplace's rule: (agreeing + 1) / (strict + 2).
    """
    count = len(given.workers)
    strict = given.choice != Choice.EQUAL
    said_right = given.choice[strict] == Choice.RIGHT
    label = target[given.query[strict]]
    agreed = np.where(label == 0.5, 0.5, (label > 0.5) == said_right)
    chosen = np.bincount(given.worker[strict], minlength=count)
    agreeing = np.bincount(given.worker[strict], agreed, minlength=count)
    agreement = np.full(count, np.nan)
    np.divide(agreeing, chosen, out=agreement, where=chosen > 0)
    return Workers(
        worker=given.workers,
        judgements=np.bincount(given.worker, minlength=count),
        competence=(agreeing + 1) / (chosen + 2) if competence is None else competence,
        agreement=agreement,
    )


def certainty(posterior: Float[np.ndarray, "N C"]) -> Float[np.ndarray, " N"]:
    """1 - entropy / log C: 1 where one class is sure, 0 where nothing is known."""
    safe = np.where(posterior > 0, posterior, 1.0)
    entropy = -(posterior * np.log(safe)).sum(axis=1)
    return np.clip(1 - entropy / np.log(posterior.shape[1]), 0, 1)
