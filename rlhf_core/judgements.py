"""What a judgement is, whatever its form: one row each, by whom, how long it took, what it cost.

A form of feedback that needs a data type of its own derives it from `Judgements` in its own file;
`rlhf_core.answers` has those that every simulated annotator knows. Positions point into the
segments of a request, and after the last one into the clips that annotators brought themselves.
"""

from abc import ABC, abstractmethod
from dataclasses import fields
from enum import IntEnum
from typing import Any, NamedTuple, TypeVar

import numpy as np
from jaxtyping import Float, Int

from rlhf_core.questions import Queries
from rlhf_core.types import Replays, Value

EXPERT = -1
"""The worker whose judgement is known to be right: gold queries carry one."""
WHOLE = -1
"""In place of a step: the rating is of the clip as a whole."""
EMPTY = -1
"""In place of a segment: the ranking is shorter than the longest one stored beside it."""


class Choice(IntEnum):
    """How a worker can answer a comparison."""

    LEFT = 0
    RIGHT = 1
    EQUAL = 2
    SKIP = 3


class Agreement(NamedTuple):
    """How many answers put clips in the order of the true returns, of how many; ties left out."""

    correct: float
    """Answers in the true order. One that orders several pairs counts by its share."""
    ordered: float
    """Answers in all that order clips whose true returns differ."""


class Orders(NamedTuple):
    """Pairs of clips whose order was stated: `better` before `worse`, in judgement `row`."""

    row: Int[np.ndarray, " P"]
    worker: Int[np.ndarray, " P"]
    better: Int[np.ndarray, " P"]
    worse: Int[np.ndarray, " P"]


class Entries(NamedTuple):
    """Judgements as texts for the ledger: what each was about, and what the answer was."""

    questions: list[str]
    answers: list[str]
    workers: Int[np.ndarray, " R"]


Row = TypeVar("Row", bound=Value)


def concatenate(first: Row, second: Row) -> Row:
    """Two values of one type joined along the first axis of their arrays.

    An optional field is None where either side has none.
    """
    columns = (_joined(getattr(first, f.name), getattr(second, f.name)) for f in fields(first))  # type: ignore[arg-type]
    return type(first)(*columns)


def _joined(first: Any, second: Any) -> Any:
    if first is None or second is None:
        return None
    if isinstance(first, Replays):
        return first.joined(second)
    return np.concatenate([first, second])


def select(value: Row, rows: np.ndarray) -> Row:
    """The rows of a value at a mask or at positions."""
    columns = (getattr(value, field.name) for field in fields(value))  # type: ignore[arg-type]
    return type(value)(*(None if column is None else column[rows] for column in columns))


class Judgements(Value, ABC):
    """Answers of one form of feedback. Subclasses are frozen dataclasses of arrays."""

    seconds: Float[np.ndarray, " R"]
    """Time that each judgement took, in seconds."""
    cost: Float[np.ndarray, " R"]
    """Price of each judgement, in the annotator's unit."""

    def __len__(self) -> int:
        return len(self.cost)

    @property
    @abstractmethod
    def labels(self) -> int:
        """Labels that the answered queries count as; several judgements of one query count once."""

    @property
    @abstractmethod
    def skipped(self) -> int:
        """Judgements in which the worker passed."""

    @abstractmethod
    def joined(self, later: Any) -> "Judgements":
        """These judgements, then others of the same type."""

    @abstractmethod
    def moved(self, clips: int, queries: int) -> "Judgements":
        """The same judgements with positions of clips and queries moved on by these numbers."""

    @abstractmethod
    def orders(self) -> Orders | None:
        """Orders that name a worker's opinion of pairs; None where the aggregator reads another
        source: comparisons, or ratings that are weighed by their correlations.
        """

    @abstractmethod
    def agreement(self, queries: Queries | None, returns: Float[np.ndarray, " S"]) -> Agreement:
        """Compare each answer with the order of the true returns of the request's segments."""

    @abstractmethod
    def entries(self, queries: Queries | None) -> Entries:
        """The judgements as texts for the ledger."""


def shares(correct: np.ndarray, ordered: np.ndarray) -> Agreement:
    """Each answer counts once, correct by its share of rightly ordered pairs."""
    some = ordered > 0
    return Agreement(float((correct[some] / ordered[some]).sum()), float(some.sum()))


def joined_text(segments: Any) -> str:
    """Positions of segments separated by blanks, fillings left out."""
    return " ".join(str(segment) for segment in segments if segment != EMPTY)
