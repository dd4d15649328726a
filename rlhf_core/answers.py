"""What annotators answer: the kinds of judgement that every one knows, and all of a round's.

`Comparisons`, `Rankings` and `Ratings` are arrays with one row a judgement.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from rlhf_core.judgements import (
    EMPTY,
    WHOLE,
    Agreement,
    Choice,
    Entries,
    Judgements,
    Orders,
    concatenate,
    joined_text,
    shares,
)
from rlhf_core.questions import Queries
from rlhf_core.types import Segments, Value, expect, expect_shape


@dataclass(frozen=True, eq=False)
class Comparisons(Judgements):
    """Judgements of pairs: who answered which query, how, how long it took (s), what it cost."""

    query: Int[np.ndarray, " R"]
    """Position of the query."""
    worker: Int[np.ndarray, " R"]
    """Number of the worker, from 0; `EXPERT` where the answer is known to be right."""
    choice: Int[np.ndarray, " R"]
    """A `Choice`."""
    seconds: Float[np.ndarray, " R"]
    cost: Float[np.ndarray, " R"]

    @property
    def labels(self) -> int:
        """Queries that somebody answered."""
        return len(np.unique(self.query[self.choice != Choice.SKIP]))

    @property
    def skipped(self) -> int:
        """Judgements in which the worker passed."""
        return int((self.choice == Choice.SKIP).sum())

    def joined(self, later: "Comparisons") -> "Comparisons":
        """These judgements, then others."""
        return concatenate(self, later)

    def moved(self, clips: int, queries: int) -> "Comparisons":
        """Queries moved on."""
        return Comparisons(self.query + queries, self.worker, self.choice, self.seconds, self.cost)

    def orders(self) -> None:
        """The aggregator reads comparisons themselves."""

    def agreement(self, queries: Queries | None, returns: Float[np.ndarray, " S"]) -> Agreement:
        """The judgements of one pair count as their majority."""
        assert queries is not None, "comparisons answer queries"
        pairs = queries.items
        strict = self.choice < Choice.EQUAL
        vote = np.where(self.choice == Choice.RIGHT, 1.0, -1.0)[strict]
        majority = np.sign(np.bincount(self.query[strict], vote, minlength=len(pairs)))
        true_order = np.sign(returns[pairs[:, 1]] - returns[pairs[:, 0]])
        ordered = (majority != 0) & (true_order != 0)
        return Agreement(float((majority == true_order)[ordered].sum()), float(ordered.sum()))

    def entries(self, queries: Queries | None) -> Entries:
        """The pair, and the choice by its name."""
        assert queries is not None, "comparisons answer queries"
        pairs = [joined_text(pair) for pair in queries.items[self.query]]
        choices = [Choice(choice).name.lower() for choice in self.choice]
        return Entries(pairs, choices, self.worker)

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
class Rankings(Judgements):
    """Judgements of groups, each with its segments in the order that the worker chose."""

    items: Int[np.ndarray, "R K"]
    """Positions in `Segments`, best first; `EMPTY` where a group has fewer than K."""
    places: Int[np.ndarray, " R"]
    """How many places are known; the segments after them were not put in order."""
    worker: Int[np.ndarray, " R"]
    seconds: Float[np.ndarray, " R"]
    cost: Float[np.ndarray, " R"]
    tied: Bool[np.ndarray, "R K"] | None = None
    """True where a segment shares its place with the one before it; None: no ties."""

    @property
    def labels(self) -> int:
        """Named places of the groups that somebody ranked."""
        _, first = np.unique(np.sort(self.items, axis=1), axis=0, return_index=True)
        return int(self.places[first].sum())

    @property
    def skipped(self) -> int:
        """Nobody passes a ranking."""
        return 0

    @property
    def beats(self) -> Bool[np.ndarray, "R K K"]:
        """Whether the segment at the first place is ranked above that at the second."""
        level = self._levels
        stated: np.ndarray = (level[:, :, None] < level[:, None, :]) & self._known
        return stated

    @property
    def equals(self) -> Bool[np.ndarray, "R K K"]:
        """Whether the segment at the first place shares its place with that at a later one."""
        level, place = self._levels, np.arange(self.items.shape[1])
        later = place[:, None] < place
        same: np.ndarray = (level[:, :, None] == level[:, None, :]) & later & self._known
        return same

    @property
    def _levels(self) -> Int[np.ndarray, "R K"]:
        tied = np.zeros(self.items.shape, bool) if self.tied is None else self.tied
        return np.cumsum(~tied, axis=1)

    @property
    def _known(self) -> Bool[np.ndarray, "R K K"]:
        """The first place is known, and there is a segment at the second."""
        known = np.arange(self.items.shape[1]) < self.places[:, None]
        pairs: np.ndarray = known[:, :, None] & (self.items != EMPTY)[:, None, :]
        return pairs

    def joined(self, later: "Rankings") -> "Rankings":
        """These rankings, then others; the shorter groups are filled up with `EMPTY`."""
        width = max(self.items.shape[1], later.items.shape[1])

        def wide(items: np.ndarray, filling: int) -> np.ndarray:
            return np.pad(items, ((0, 0), (0, width - items.shape[1])), constant_values=filling)

        def ties(rankings: Rankings) -> np.ndarray:
            none = np.zeros(rankings.items.shape, dtype=bool)
            return wide(none if rankings.tied is None else rankings.tied, False)

        places, worker, seconds, cost = (
            np.concatenate([getattr(self, name), getattr(later, name)])
            for name in ("places", "worker", "seconds", "cost")
        )
        items = np.concatenate([wide(self.items, EMPTY), wide(later.items, EMPTY)])
        return Rankings(
            items, places, worker, seconds, cost, np.concatenate([ties(self), ties(later)])
        )

    def moved(self, clips: int, queries: int) -> "Rankings":
        """Segments moved on."""
        items = np.where(self.items == EMPTY, EMPTY, self.items + clips)
        return Rankings(items, self.places, self.worker, self.seconds, self.cost, self.tied)

    def orders(self) -> Orders:
        """Every order that the rankings state."""
        row, first, second = np.nonzero(self.beats)
        return Orders(row, self.worker[row], self.items[row, first], self.items[row, second])

    def agreement(self, queries: Queries | None, returns: Float[np.ndarray, " S"]) -> Agreement:
        """A ranking counts by the share of its orders; clips that annotators brought are left out,
        since their true returns are not known.
        """
        known = (self.items != EMPTY) & (self.items < len(returns))
        value = returns[np.where(known, self.items, 0)]
        stated = self.beats & known[:, :, None] & known[:, None, :]
        gap = value[:, :, None] - value[:, None, :]
        return shares((stated & (gap > 0)).sum(axis=(1, 2)), (stated & (gap != 0)).sum(axis=(1, 2)))

    def entries(self, queries: Queries | None) -> Entries:
        """The group in ascending order, and the named places, best first."""
        groups = [joined_text(sorted(items)) for items in self.items.tolist()]
        rows = zip(self.items.tolist(), self.places.tolist(), strict=True)
        best = [joined_text(items[:places]) for items, places in rows]
        return Entries(groups, best, self.worker)

    def _check(self) -> None:
        for name in ("places", "worker", "seconds", "cost"):
            expect_shape(self, name, (len(self.items),))
        if self.tied is not None:
            expect_shape(self, "tied", self.items.shape)


@dataclass(frozen=True, eq=False)
class Ratings(Judgements):
    """Judgements of single clips on a scale."""

    segment: Int[np.ndarray, " R"]
    step: Int[np.ndarray, " R"]
    """The step after which the rating was given; `WHOLE`: it is of the clip as a whole."""
    value: Float[np.ndarray, " R"]
    """On the annotator's own scale."""
    worker: Int[np.ndarray, " R"]
    seconds: Float[np.ndarray, " R"]
    cost: Float[np.ndarray, " R"]

    @property
    def labels(self) -> int:
        """Clips, or moments of them, that somebody rated."""
        return len(np.unique(np.stack([self.segment, self.step], axis=1), axis=0))

    @property
    def skipped(self) -> int:
        """Nobody passes a rating."""
        return 0

    def joined(self, later: "Ratings") -> "Ratings":
        """These ratings, then others."""
        return concatenate(self, later)

    def moved(self, clips: int, queries: int) -> "Ratings":
        """Segments moved on."""
        return Ratings(
            self.segment + clips, self.step, self.value, self.worker, self.seconds, self.cost
        )

    def orders(self) -> None:
        """Raters are weighed by their correlations instead."""

    def agreement(self, queries: Queries | None, returns: Float[np.ndarray, " S"]) -> Agreement:
        """A rating of a whole clip counts by the share of the others that it is ordered with."""
        whole = (self.step == WHOLE) & (self.segment < len(returns))
        value, true = self.value[whole], returns[self.segment[whole]]
        higher = np.sign(value[:, None] - value)
        order = np.sign(true[:, None] - true)
        strict = (higher != 0) & (order != 0)
        return shares(((higher == order) & strict).sum(axis=1), strict.sum(axis=1))

    def entries(self, queries: Queries | None) -> Entries:
        """The clip, with its moment after an `@`, and the value."""
        rows = zip(self.segment.tolist(), self.step.tolist(), strict=True)
        clips = [str(clip) if step == WHOLE else f"{clip}@{step}" for clip, step in rows]
        return Entries(clips, [str(value) for value in self.value.tolist()], self.worker)

    def _check(self) -> None:
        for name in ("step", "value", "worker", "seconds", "cost"):
            expect_shape(self, name, (len(self.segment),))


@dataclass(frozen=True, eq=False)
class Answers(Value):
    """Everything that came back in one round."""

    judgements: Mapping[str, Judgements]
    """By form of feedback. Annotators may answer in another form than they were asked in."""
    segments: Segments | None = None
    """Clips that annotators brought themselves. Positions in judgements run on into them after
    the last one of `Request.segments`."""

    @property
    def labels(self) -> int:
        """Labels that the answered queries count as."""
        return sum(judgements.labels for judgements in self.judgements.values())

    @property
    def count(self) -> int:
        """How many judgements there are."""
        return sum(len(judgements) for judgements in self.judgements.values())

    @property
    def skipped(self) -> int:
        """Judgements in which the worker passed."""
        return sum(judgements.skipped for judgements in self.judgements.values())

    @property
    def cost(self) -> float:
        """Price of all judgements together."""
        return float(sum(judgements.cost.sum() for judgements in self.judgements.values()))

    @property
    def seconds(self) -> float:
        """Time of all judgements together, in seconds."""
        return float(sum(judgements.seconds.sum() for judgements in self.judgements.values()))
