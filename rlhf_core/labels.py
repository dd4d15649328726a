"""What a reward is fitted to: labels made of judgements, one data type a likelihood.

A label set knows its weights, what a null control does to it, and its columns in the label tables.
Positions point into one set of segments, that of `Evidence`.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from rlhf_core.answers import Comparisons, Rankings, Ratings
from rlhf_core.judgements import EMPTY, Judgements, joined_text, select
from rlhf_core.questions import Queries
from rlhf_core.types import Segments, Value, expect, expect_shape

Columns = Mapping[str, Any]
"""A table by its columns."""


class LabelSet(Value, ABC):
    """Labels of one form of feedback, ready for a fit."""

    weight: Float[np.ndarray, " N"]
    """How much each label counts, >= 0."""

    def __len__(self) -> int:
        return len(self.weight)

    @abstractmethod
    def about(self, chosen: Bool[np.ndarray, " S"]) -> "LabelSet":
        """The labels that are about at least one of the chosen segments."""

    @abstractmethod
    def shuffled(self, rng: np.random.Generator) -> "LabelSet":
        """The same labels assigned to the wrong clips: a null control."""

    @abstractmethod
    def reversed(self) -> "LabelSet":
        """Labels that state the opposite: a null control."""

    @abstractmethod
    def teaches(self, ties: str) -> bool:
        """Whether a fit learns anything from them; `ties` says how ties are counted."""

    @abstractmethod
    def columns(self) -> Columns:
        """The labels as a table."""


@dataclass(frozen=True, eq=False)
class Preferences(LabelSet):
    """Soft labels on pairs."""

    pair: Int[np.ndarray, "N 2"]
    target: Float[np.ndarray, " N"]
    """P(right preferred), in [0, 1]; 0.5 is a tie."""
    weight: Float[np.ndarray, " N"]
    """How much the label counts, >= 0."""

    def about(self, chosen: Bool[np.ndarray, " S"]) -> "Preferences":
        """Pairs with a chosen segment."""
        return select(self, chosen[self.pair].any(axis=1))

    def shuffled(self, rng: np.random.Generator) -> "Preferences":
        """Targets in random order."""
        return replace(self, target=self.target[rng.permutation(len(self))])

    def reversed(self) -> "Preferences":
        """One minus each target."""
        return replace(self, target=1 - self.target)

    def teaches(self, ties: str) -> bool:
        """Whether any label counts that is no tie, or ties are not left out."""
        counted = self.target != 0.5 if ties == "drop" else True
        return bool(((self.weight > 0) & counted).any())

    def columns(self) -> Columns:
        """A row a pair."""
        left, right = self.pair.T
        return {
            "left_segment": left,
            "right_segment": right,
            "probability_right": self.target,
            "weight": self.weight,
        }

    def _check(self) -> None:
        expect_shape(self, "pair", (len(self.pair), 2))
        expect_shape(self, "target", (len(self.pair),))
        expect_shape(self, "weight", (len(self.pair),))
        in_range = bool(((self.target >= 0) & (self.target <= 1)).all())
        expect(in_range, self, "targets in [0, 1]", self.target)
        expect(bool((self.weight >= 0).all()), self, "weights >= 0", self.weight)


@dataclass(frozen=True, eq=False)
class RankingLabels(LabelSet):
    """Rankings with a weight each."""

    rankings: Rankings
    weight: Float[np.ndarray, " R"]

    def about(self, chosen: Bool[np.ndarray, " S"]) -> "RankingLabels":
        """Groups with a chosen segment."""
        items = self.rankings.items
        rows = (chosen[items] & (items != EMPTY)).any(axis=1)
        return RankingLabels(select(self.rankings, rows), self.weight[rows])

    def shuffled(self, rng: np.random.Generator) -> "RankingLabels":
        """Every group in a random order, without ties."""
        items = self.rankings.items
        keys = np.where(items == EMPTY, np.inf, rng.random(items.shape))
        order = keys.argsort(axis=1)
        mixed = np.take_along_axis(items, order, axis=1)
        return replace(self, rankings=replace(self.rankings, items=mixed, tied=None))

    def reversed(self) -> "RankingLabels":
        """Every pair that the rankings put in order, the other way round."""
        rankings, (row, worker, better, worse) = self.rankings, self.rankings.orders()
        pairs = Rankings(
            np.stack([worse, better], axis=1),
            np.ones(len(row), dtype=np.int64),
            worker,
            rankings.seconds[row],
            rankings.cost[row],
        )
        return RankingLabels(pairs, self.weight[row])

    def teaches(self, ties: str) -> bool:
        """Whether there is a ranking."""
        return len(self.rankings) > 0

    def columns(self) -> Columns:
        """A row a ranking, its segments separated by blanks."""
        return {
            "places": self.rankings.places,
            "worker": self.rankings.worker,
            "segments_best_first": [joined_text(row) for row in self.rankings.items.tolist()],
            "weight": self.weight,
        }

    def _check(self) -> None:
        expect_shape(self, "weight", (len(self.rankings),))


@dataclass(frozen=True, eq=False)
class RatingLabels(LabelSet):
    """Ratings with a weight each."""

    ratings: Ratings
    weight: Float[np.ndarray, " R"]

    def about(self, chosen: Bool[np.ndarray, " S"]) -> "RatingLabels":
        """Ratings of chosen segments."""
        rows = chosen[self.ratings.segment]
        return RatingLabels(select(self.ratings, rows), self.weight[rows])

    def shuffled(self, rng: np.random.Generator) -> "RatingLabels":
        """Values in random order."""
        value = self.ratings.value[rng.permutation(len(self))]
        return replace(self, ratings=replace(self.ratings, value=value))

    def reversed(self) -> "RatingLabels":
        """Minus each value."""
        return replace(self, ratings=replace(self.ratings, value=-self.ratings.value))

    def teaches(self, ties: str) -> bool:
        """Whether there is a rating."""
        return len(self.ratings) > 0

    def columns(self) -> Columns:
        """A row a rating."""
        names = ("segment", "step", "value", "worker")
        return {**{name: getattr(self.ratings, name) for name in names}, "weight": self.weight}

    def _check(self) -> None:
        expect_shape(self, "weight", (len(self.ratings),))


@dataclass(frozen=True, eq=False)
class Workers(Value):
    """What an aggregator estimates of the people who answered."""

    worker: Int[np.ndarray, " W"]
    """Numbers of the workers, ascending; the expert is not among them."""
    judgements: Int[np.ndarray, " W"]
    """Judgements of each that were not skips."""
    competence: Float[np.ndarray, " W"]
    """Estimated probability of choosing the better one of a pair, in [0, 1]; 1/2 is chance."""
    agreement: Float[np.ndarray, " W"]
    """Share of a worker's strict choices that agree with the label that was made of all of them;
    NaN for a worker who never made one."""
    sign_log_odds: float = np.inf
    """Log-odds of these labels against the same ones turned round, as far as the aggregator tells;
    infinite where it does not ask."""

    def __len__(self) -> int:
        return len(self.worker)

    def columns(self) -> Columns:
        """A row a worker."""
        names = ("worker", "judgements", "competence", "agreement")
        return {name: getattr(self, name) for name in names}

    def _check(self) -> None:
        for name in ("judgements", "competence", "agreement"):
            expect_shape(self, name, (len(self.worker),))


@dataclass(frozen=True, eq=False)
class Evidence(Value):
    """Every judgement of a run so far, by form. Positions point into `segments` and `queries`."""

    segments: Segments
    queries: Mapping[str, Queries]
    judgements: Mapping[str, Judgements]

    @property
    def cost(self) -> float:
        """Price of all judgements together."""
        return float(sum(judgements.cost.sum() for judgements in self.judgements.values()))

    @property
    def comparisons(self) -> tuple[Queries, Comparisons] | None:
        """Pairs and their judgements, where there are any: what an aggregator reads."""
        for form, judgements in self.judgements.items():
            if isinstance(judgements, Comparisons) and form in self.queries:
                return self.queries[form], judgements
        return None
