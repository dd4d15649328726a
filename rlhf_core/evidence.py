"""What annotators are asked, what they answer, and the labels that a fit makes of it.

A `Request` asks for up to three forms of judgement: comparisons of two segments, rankings of K,
ratings of one. `Answers` holds what came back, in the same three forms. Positions always point into
the segments that travel along.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from enum import IntEnum
from typing import Any, TypeVar

import numpy as np
from jaxtyping import Bool, Float, Int

from rlhf_core.demonstrations import Demonstrations
from rlhf_core.types import Replays, Segments, Value, expect, expect_shape

EXPERT = -1
"""The worker whose judgement is known to be right: gold questions carry one."""
WHOLE = -1
"""In place of a step: the rating speaks of the clip as a whole."""
NOBODY = -1
"""In place of a segment: the ranking is shorter than the longest one kept beside it."""


class Choice(IntEnum):
    """What a worker can say of a pair."""

    LEFT = 0
    RIGHT = 1
    EQUAL = 2
    SKIP = 3


@dataclass(frozen=True, eq=False)
class Queries(Value):
    """Questions that are each about K segments."""

    items: Int[np.ndarray, "N K"]
    """Positions in `Segments`; of a pair: left, right."""

    def __len__(self) -> int:
        return len(self.items)

    def _check(self) -> None:
        expect(self.items.ndim == 2, self, "items of shape (N, K)", self.items.shape)


def no_queries(size: int = 2) -> Queries:
    """No question about `size` segments each."""
    return Queries(np.empty((0, size), dtype=np.int64))


@dataclass(frozen=True, eq=False)
class Request(Value):
    """What a feedback strategy asks in one round. With no questions it asks nothing."""

    segments: Segments
    """The segments that the questions speak of."""
    queries: Queries
    """Pairs (N, 2): which one is better?"""
    reference: Segments
    """An unlabelled sample of what the policy does now; reward scales are set on it."""
    rankings: Queries | None = None
    """Groups of K: which are the best ones, in order?"""
    places: int = 1
    """How many places of a ranking are to be named: 1 is best of K, K - 1 the whole order."""
    ratings: Int[np.ndarray, "N 2"] | None = None
    """One clip each: its position, and the step after which it is rated (`WHOLE`: the clip)."""
    audit: Bool[np.ndarray, " S"] | None = None
    """Segments that were drawn at random, whatever the selector would have liked to know."""
    demonstrations: int = 0
    """Whole episodes to be shown."""

    @property
    def labels(self) -> int:
        """What the questions count as: one a pair, a named place, a rating, a demonstration."""
        return len(self.queries) + self.ranked + self.rated() + self.demonstrations

    @property
    def ranked(self) -> int:
        """Places of rankings that are to be named."""
        return 0 if self.rankings is None else len(self.rankings) * self.places

    def rated(self, step: int | None = None) -> int:
        """Ratings asked for: all of them, or those after one step (`WHOLE`: of clips)."""
        if self.ratings is None:
            return 0
        return len(self.ratings) if step is None else int((self.ratings[:, 1] == step).sum())

    @property
    def questions(self) -> int:
        """How many questions there are."""
        ranked = 0 if self.rankings is None else len(self.rankings)
        return len(self.queries) + ranked + self.rated() + self.demonstrations

    def _check(self) -> None:
        expect(self.queries.items.shape[1] == 2, self, "pairs (N, 2)", self.queries.items.shape)
        asked = [self.queries.items]
        if self.rankings is not None:
            asked.append(self.rankings.items)
            most = self.rankings.items.shape[1] - 1
            expect(1 <= self.places <= most, self, f"places from 1 to {most}", self.places)
        if self.ratings is not None:
            asked.append(self.ratings[:, :1])
        if self.audit is not None:
            expect_shape(self, "audit", (len(self.segments),))
        for items in asked:
            if items.size:
                expect(
                    int(items.min()) >= 0 and int(items.max()) < len(self.segments),
                    self,
                    f"positions among {len(self.segments)} segments",
                    int(items.max()),
                )


@dataclass(frozen=True, eq=False)
class Annotations(Value):
    """Judgements of pairs: who answered which query, how, how long it took (s), what it cost."""

    query: Int[np.ndarray, " R"]
    worker: Int[np.ndarray, " R"]
    """Number of the worker, from 0; `EXPERT` where the answer is known to be right."""
    choice: Int[np.ndarray, " R"]
    seconds: Float[np.ndarray, " R"]
    cost: Float[np.ndarray, " R"]

    def __len__(self) -> int:
        return len(self.query)

    def _check(self) -> None:
        for name in ("worker", "choice", "seconds", "cost"):
            expect_shape(self, name, (len(self.query),))
        known = np.isin(self.choice, list(Choice))
        expect(
            bool(known.all()),
            self,
            f"choices among {[c.value for c in Choice]}",
            self.choice[~known][:5],
        )


@dataclass(frozen=True, eq=False)
class Rankings(Value):
    """Judgements of groups, each with its segments in the order that the worker gave them."""

    items: Int[np.ndarray, "R K"]
    """Positions in `Segments`, best first; `NOBODY` where a group has fewer than K."""
    places: Int[np.ndarray, " R"]
    """How many places are known; the segments after them were not put in order."""
    worker: Int[np.ndarray, " R"]
    seconds: Float[np.ndarray, " R"]
    cost: Float[np.ndarray, " R"]
    tied: Bool[np.ndarray, "R K"] | None = None
    """True where a segment shares its place with the one before it; None: no ties."""

    def __len__(self) -> int:
        return len(self.items)

    @property
    def beats(self) -> Bool[np.ndarray, "R K K"]:
        """Whether the segment at the first place is said to be better than that at the second."""
        level = self._levels
        stated: np.ndarray = (level[:, :, None] < level[:, None, :]) & self._spoken_of
        return stated

    @property
    def equals(self) -> Bool[np.ndarray, "R K K"]:
        """Whether the segment at the first place is said to be as good as that at a later one."""
        level, place = self._levels, np.arange(self.items.shape[1])
        later = place[:, None] < place
        same: np.ndarray = (level[:, :, None] == level[:, None, :]) & later & self._spoken_of
        return same

    @property
    def _levels(self) -> Int[np.ndarray, "R K"]:
        tied = np.zeros(self.items.shape, bool) if self.tied is None else self.tied
        return np.cumsum(~tied, axis=1)

    @property
    def _spoken_of(self) -> Bool[np.ndarray, "R K K"]:
        """The first place is known, and at the second there is a segment."""
        known = np.arange(self.items.shape[1]) < self.places[:, None]
        both: np.ndarray = known[:, :, None] & (self.items != NOBODY)[:, None, :]
        return both

    def _check(self) -> None:
        for name in ("places", "worker", "seconds", "cost"):
            expect_shape(self, name, (len(self.items),))
        if self.tied is not None:
            expect_shape(self, "tied", self.items.shape)


@dataclass(frozen=True, eq=False)
class Ratings(Value):
    """Judgements of single clips on a scale."""

    segment: Int[np.ndarray, " R"]
    step: Int[np.ndarray, " R"]
    """The step after which the rating was given; `WHOLE`: it speaks of the clip as a whole."""
    value: Float[np.ndarray, " R"]
    """On the annotator's own scale."""
    worker: Int[np.ndarray, " R"]
    seconds: Float[np.ndarray, " R"]
    cost: Float[np.ndarray, " R"]

    def __len__(self) -> int:
        return len(self.segment)

    def _check(self) -> None:
        for name in ("step", "value", "worker", "seconds", "cost"):
            expect_shape(self, name, (len(self.segment),))


def no_annotations() -> Annotations:
    """No judgement of a pair."""
    nothing, none = np.empty(0, dtype=np.int64), np.empty(0)
    return Annotations(nothing, nothing, nothing, none, none)


def no_rankings() -> Rankings:
    """No judgement of a group."""
    nothing, none = np.empty(0, dtype=np.int64), np.empty(0)
    return Rankings(np.empty((0, 2), dtype=np.int64), nothing, nothing, none, none)


def no_ratings() -> Ratings:
    """No judgement of a clip."""
    nothing, none = np.empty(0, dtype=np.int64), np.empty(0)
    return Ratings(nothing, nothing, none, nothing, none, none)


@dataclass(frozen=True, eq=False)
class Answers(Value):
    """Everything that came back in one round."""

    comparisons: Annotations
    """`query` points into `Request.queries`."""
    rankings: Rankings
    ratings: Ratings
    segments: Segments | None = None
    """Clips that annotators brought of themselves. Positions in `rankings` and `ratings` run on
    into them after the last one of `Request.segments`."""
    demonstrations: Demonstrations | None = None
    """Whole episodes that were asked for."""

    @property
    def forms(self) -> Sequence[Annotations | Rankings | Ratings]:
        """The three forms of judgement."""
        return self.comparisons, self.rankings, self.ratings

    @property
    def labels(self) -> int:
        """Questions that somebody answered, a ranking counted by its named places."""
        said = self.comparisons.query[self.comparisons.choice != Choice.SKIP]
        group = np.sort(self.rankings.items, axis=1)
        _, first = np.unique(group, axis=0, return_index=True)
        rated = np.stack([self.ratings.segment, self.ratings.step], axis=1)
        return (
            len(np.unique(said))
            + int(self.rankings.places[first].sum())
            + len(np.unique(rated, axis=0))
            + (0 if self.demonstrations is None else len(self.demonstrations))
        )

    @property
    def cost(self) -> float:
        """Price of all judgements and demonstrations together."""
        given = (*self.forms, *([self.demonstrations] if self.demonstrations else []))
        return float(sum(form.cost.sum() for form in given))


def answers(
    comparisons: Annotations | None = None,
    rankings: Rankings | None = None,
    ratings: Ratings | None = None,
    segments: Segments | None = None,
    demonstrations: Demonstrations | None = None,
) -> Answers:
    """Answers with nothing in the forms that are not given."""
    return Answers(
        no_annotations() if comparisons is None else comparisons,
        no_rankings() if rankings is None else rankings,
        no_ratings() if ratings is None else ratings,
        segments,
        demonstrations,
    )


@dataclass(frozen=True, eq=False)
class Preferences(Value):
    """Soft labels on pairs, ready for the reward fit."""

    pair: Int[np.ndarray, "N 2"]
    target: Float[np.ndarray, " N"]
    """P(right preferred), in [0, 1]; 0.5 is a tie."""
    weight: Float[np.ndarray, " N"]
    """How much the label counts, >= 0."""

    def __len__(self) -> int:
        return len(self.pair)

    def _check(self) -> None:
        expect_shape(self, "pair", (len(self.pair), 2))
        expect_shape(self, "target", (len(self.pair),))
        expect_shape(self, "weight", (len(self.pair),))
        in_range = bool(((self.target >= 0) & (self.target <= 1)).all())
        expect(in_range, self, "targets in [0, 1]", self.target)
        expect(bool((self.weight >= 0).all()), self, "weights >= 0", self.weight)


@dataclass(frozen=True, eq=False)
class Workers(Value):
    """What an aggregator found out about the people who answered."""

    worker: Int[np.ndarray, " W"]
    """Numbers of the workers, ascending; the expert is not among them."""
    judgements: Int[np.ndarray, " W"]
    """Judgements of each that were not skips."""
    competence: Float[np.ndarray, " W"]
    """Estimated probability of choosing the better one of a pair, in [0, 1]; 1/2 is chance."""
    agreement: Float[np.ndarray, " W"]
    """Share of a worker's strict choices that agree with the label that was made of all of them;
    NaN for a worker who never made one."""

    def __len__(self) -> int:
        return len(self.worker)

    def _check(self) -> None:
        for name in ("judgements", "competence", "agreement"):
            expect_shape(self, name, (len(self.worker),))


V = TypeVar("V", Segments, Queries, Annotations, Ratings, Preferences)
W = TypeVar("W", Annotations, Rankings, Ratings, Preferences)


def concatenate(first: V, second: V) -> V:
    """Join two values of one type along their first axis.

    Replays of segments are dropped where one side has none.
    """
    columns: list[Any] = [
        _joined(getattr(first, field.name), getattr(second, field.name)) for field in fields(first)
    ]
    return type(first)(*columns)


def _joined(
    first: np.ndarray | Replays | None, second: np.ndarray | Replays | None
) -> np.ndarray | Replays | None:
    if isinstance(first, Replays) and isinstance(second, Replays):
        return first.joined(second)
    if isinstance(first, np.ndarray) and isinstance(second, np.ndarray):
        return np.concatenate([first, second])
    return None


def where(value: W, chosen: Bool[np.ndarray, " N"]) -> W:
    """The rows of a value that are chosen."""
    columns = (getattr(value, field.name) for field in fields(value))
    kept: list[Any] = [None if column is None else column[chosen] for column in columns]
    return type(value)(*kept)
