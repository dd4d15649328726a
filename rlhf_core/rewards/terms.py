"""Terms of a fit: comparisons, rankings and ratings, each with a likelihood over the same ensemble.

Every observation of a term is about K segments. Its scores (M, n, K) are the credited sums of
predicted rewards over those segments' steps; from them a term says how unlikely the observation
is, and which of two segments the observation puts first.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from rlhf_core.evidence import WHOLE, Preferences, Rankings, Ratings
from rlhf_core.rewards import likelihoods
from rlhf_core.rewards.model import Likelihoods
from rlhf_core.types import Segments

MOST_LEVELS = 10
"""Ordinal levels at the most; finer scales are cut at quantiles."""


class Term(ABC):
    """Observations of one form."""

    items: Tensor
    """(N, K) positions of segments."""
    credit: Tensor | None
    """(N, L) weight of each step, for ratings that speak of some steps only."""
    weight: Tensor
    """(N,) how much an observation counts."""
    question: Tensor
    """(N,) number of the question, from 0 in order of appearance: several may answer one."""
    trials: float = 1.0
    """How many independent orders an answered question is worth."""
    calibrated: bool = True
    """Whether the likelihood gives orders a probability."""

    @abstractmethod
    def heads(self, members: int) -> dict[str, Tensor]:
        """Parameters of the likelihood, by name, as a fresh fit starts with them."""

    @abstractmethod
    def loss(
        self, scores: Float[Tensor, "M n K"], index: Tensor, heads: Mapping[str, Tensor]
    ) -> Float[Tensor, "M n"]:
        """Negative log-likelihood of the observations at `index`."""

    @abstractmethod
    def blind(
        self,
        loss: Float[Tensor, "M n"],
        scores: Float[Tensor, "M n K"],
        index: Tensor,
        heads: Mapping[str, Tensor],
    ) -> Float[Tensor, "M n"]:
        """Negative log-likelihood of the same observations if they were mistakes."""

    @abstractmethod
    def margins(
        self, scores: Float[Tensor, "M N K"]
    ) -> tuple[Float[Tensor, "M P"], Int[Tensor, "P 2"]]:
        """Predicted advantage of segments put first, and the two observations that say it.

        A comparison or a ranking says it alone, and is named twice.
        """


class Comparisons(Term):
    """Soft labels on pairs."""

    def __init__(self, preferences: Preferences, ties: str, smoothing: float) -> None:
        kept = preferences.target != 0.5 if ties == "drop" else np.ones(len(preferences), bool)
        target = torch.from_numpy(np.array(preferences.target, dtype=np.float32))
        self.items = torch.from_numpy(np.array(preferences.pair, dtype=np.int64))
        self.credit = None
        self.weight = torch.from_numpy((preferences.weight * kept).astype(np.float32))
        self.target = target
        self.smooth = target + smoothing * (0.5 - target)
        self.question = torch.arange(len(preferences))
        self.davidson = ties == "davidson"

    def heads(self, members: int) -> dict[str, Tensor]:
        """How readily a tie is called, where ties are outcomes."""
        return {"log_tie": torch.full((members, 1), -2.0)} if self.davidson else {}

    def loss(self, scores: Tensor, index: Tensor, heads: Mapping[str, Tensor]) -> Tensor:
        """Bradley-Terry or Davidson."""
        left, right = scores.unbind(2)
        if self.davidson:
            return likelihoods.davidson(left, right, self.smooth[index], heads["log_tie"])
        return likelihoods.bradley_terry(left, right, self.smooth[index])

    def blind(
        self, loss: Tensor, scores: Tensor, index: Tensor, heads: Mapping[str, Tensor]
    ) -> Tensor:
        """A mistake is the opposite answer."""
        left, right = scores.unbind(2)
        opposite = 1 - self.smooth[index]
        if self.davidson:
            return likelihoods.davidson(left, right, opposite, heads["log_tie"])
        return likelihoods.bradley_terry(left, right, opposite)

    def margins(self, scores: Tensor) -> tuple[Tensor, Tensor]:
        """One pair a comparison, ties left out."""
        strict = torch.nonzero(self.target != 0.5)[:, 0]
        sign = torch.sign(self.target[strict] - 0.5)
        return (scores[:, strict, 1] - scores[:, strict, 0]) * sign, strict[:, None].expand(-1, 2)


class Orders(Term):
    """Rankings, and best of K."""

    def __init__(self, rankings: Rankings, weight: np.ndarray, ties: str) -> None:
        self.items = torch.from_numpy(np.array(rankings.items, dtype=np.int64)).clamp(min=0)
        self.credit = None
        self.question = _questions(np.sort(rankings.items, axis=1))
        self.beats = torch.from_numpy(rankings.beats)
        self.equals = torch.from_numpy(rankings.equals & (ties != "drop"))
        self.weight = torch.from_numpy(weight.astype(np.float32))

    def heads(self, members: int) -> dict[str, Tensor]:
        """Plackett-Luce has none."""
        return {}

    def loss(self, scores: Tensor, index: Tensor, heads: Mapping[str, Tensor]) -> Tensor:
        """Plackett-Luce."""
        ordered = likelihoods.plackett_luce(scores, self.beats[index])
        return ordered + likelihoods.shared_places(scores, self.equals[index])

    def blind(
        self, loss: Tensor, scores: Tensor, index: Tensor, heads: Mapping[str, Tensor]
    ) -> Tensor:
        """A mistake is any order, each as likely as the next."""
        even = torch.zeros_like(scores[:1])
        none = likelihoods.plackett_luce(even, self.beats[index])
        none = none + likelihoods.shared_places(even, self.equals[index])
        return none.expand_as(loss)

    def margins(self, scores: Tensor) -> tuple[Tensor, Tensor]:
        """Every pair whose order is stated."""
        observation, first, second = torch.nonzero(self.beats, as_tuple=True)
        advantage = scores[:, observation, first] - scores[:, observation, second]
        return advantage, observation[:, None].expand(-1, 2)


class Marks(Term):
    """Ratings of clips, or of moments in them."""

    # Two ratings make one order.
    trials = 0.5
    # The scale of a rating is its own: the difference of two scores is no log-odds.
    calibrated = False

    def __init__(
        self, ratings: Ratings, weight: np.ndarray, segments: Segments, settings: Likelihoods
    ) -> None:
        self.items = torch.from_numpy(np.array(ratings.segment, dtype=np.int64))[:, None]
        self.credit = torch.from_numpy(_credit(ratings, segments, settings.delay_steps))
        self.weight = torch.from_numpy(weight.astype(np.float32))
        self.question = _questions(np.stack([ratings.segment, ratings.step], axis=1))
        values = _per_worker(ratings)
        self.value = torch.from_numpy(values.astype(np.float32))
        self.level = torch.from_numpy(_levels(ratings.value))
        # One level alone has no threshold.
        self.ordinal = settings.ratings == "ordinal" and int(self.level.max()) > 0

    def heads(self, members: int) -> dict[str, Tensor]:
        """Line and noise, or thresholds."""
        if not self.ordinal:
            return {
                "log_scale": torch.zeros(members, 1),
                "offset": torch.zeros(members, 1),
                "log_noise": torch.full((members, 1), -0.5),
            }
        # Thresholds as the shares of the levels would have them, if every score were 0.
        count = torch.bincount(self.level)
        below = (count.cumsum(0)[:-1] / count.sum()).clamp(0.01, 0.99)
        cuts = torch.logit(below).to(torch.float32)
        gaps = torch.log(torch.expm1((cuts[1:] - cuts[:-1]).clamp(min=0.05)))
        return {
            "first_cut": cuts[:1].repeat(members, 1),
            "cut_gaps": gaps[None].repeat(members, 1),
        }

    def loss(self, scores: Tensor, index: Tensor, heads: Mapping[str, Tensor]) -> Tensor:
        """Gaussian or ordinal."""
        score = scores[:, :, 0]
        if self.ordinal:
            cuts = likelihoods.ascending(heads["first_cut"], heads["cut_gaps"])
            return likelihoods.ordinal(score, self.level[index], cuts)
        return likelihoods.gaussian(
            score, self.value[index], heads["log_scale"], heads["offset"], heads["log_noise"]
        )

    def blind(
        self, loss: Tensor, scores: Tensor, index: Tensor, heads: Mapping[str, Tensor]
    ) -> Tensor:
        """A mistake is any rating, drawn as ratings are on the whole."""
        if self.ordinal:
            return torch.full_like(loss, float(np.log(int(self.level.max()) + 1)))
        return (self.value[index].square() / 2).expand_as(loss)

    def margins(self, scores: Tensor) -> tuple[Tensor, Tensor]:
        """Every two ratings that differ, of different questions."""
        higher = self.value[:, None] > self.value
        apart = self.question[:, None] != self.question
        first, second = torch.nonzero(higher & apart, as_tuple=True)
        return scores[:, first, 0] - scores[:, second, 0], torch.stack([first, second], dim=1)


def _credit(ratings: Ratings, segments: Segments, delay_steps: tuple[int, int]) -> np.ndarray:
    """Weights (R, L) of the steps that a rating speaks of: those of a whole clip sum to L."""
    mask = segments.mask[ratings.segment]
    step = np.arange(segments.steps)
    given = ratings.step[:, None]
    nearest, farthest = delay_steps
    heard = (step >= given - farthest) & (step <= np.maximum(given - nearest, 0)) & mask
    whole = (ratings.step == WHOLE)[:, None]
    counted = np.where(whole, mask, heard)
    return (counted * (segments.steps / np.maximum(counted.sum(axis=1, keepdims=True), 1))).astype(
        np.float32
    )


def _per_worker(ratings: Ratings) -> np.ndarray:
    """Values with mean 0 and deviation 1 for each worker: everybody has a scale of his own.

    A worker's mean and deviation are drawn towards those of all by as much as five ratings of
    the others would.
    """
    values = ratings.value
    _, worker, count = np.unique(ratings.worker, return_inverse=True, return_counts=True)
    prior = 5.0
    overall, spread = values.mean(), values.var()
    mean = (np.bincount(worker, values) + prior * overall) / (count + prior)
    squares = np.bincount(worker, np.square(values - mean[worker]))
    deviation = np.sqrt((squares + prior * spread) / (count + prior))
    return (values - mean[worker]) / np.maximum(deviation, 1e-9)[worker]


def _questions(named: np.ndarray) -> Tensor:
    """Number (R,) of each row's question, rows that name the same being one; first come, first."""
    _, first, which = np.unique(named, axis=0, return_index=True, return_inverse=True)
    return torch.from_numpy(first.argsort().argsort()[which.ravel()])


def _levels(values: np.ndarray) -> np.ndarray:
    """Ordered levels from 0: the distinct values, or quantiles where there are too many."""
    distinct = np.unique(values)
    if len(distinct) > MOST_LEVELS:
        distinct = np.unique(np.quantile(values, np.arange(MOST_LEVELS) / MOST_LEVELS))
    return (np.searchsorted(distinct, values, side="right") - 1).clip(min=0)
