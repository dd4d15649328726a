"""Terms of a fit: labels of one form, with their likelihood over the reward ensemble.

Every observation of a term is about K segments. Its scores (M, n, K) are the credited sums of
predicted rewards over those segments' steps; from them a term computes how unlikely the observation
is, and by how much the segment that it puts first is ahead.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from rlhf_core.answers import Ratings
from rlhf_core.judgements import WHOLE
from rlhf_core.labels import Preferences, RankingLabels, RatingLabels
from rlhf_core.rewards import likelihoods
from rlhf_core.rewards.model import Likelihoods
from rlhf_core.types import Segments

MOST_LEVELS = 10
"""Ordinal levels at the most; finer scales are cut at quantiles."""

Heads = Mapping[str, Tensor]
"""Parameters of a likelihood beside the reward, (M, ...) by name."""


@dataclass(frozen=True)
class Term:
    """Observations of one form, and their likelihood."""

    items: Int[Tensor, "N K"]
    """Positions of segments."""
    weight: Float[Tensor, " N"]
    """How much an observation counts."""
    question: Int[Tensor, " N"]
    """Number of the question, from 0 in order of appearance: several may answer one."""
    loss: Callable[[Tensor, Tensor, Heads], Tensor]
    """Negative log-likelihood (M, n): of scores (M, n, K), at positions (n,), with these heads."""
    mistaken_loss: Callable[[Tensor, Tensor, Tensor, Heads], Tensor]
    """The same of the observations if they were mistakes; the loss itself comes first."""
    margins: Callable[[Tensor], tuple[Tensor, Tensor]]
    """Predicted advantages (M, P) of segments put first, and the two observations (P, 2) behind
    each; a comparison or a ranking orders by itself and is named twice."""
    heads: Callable[[int], dict[str, Tensor]] = lambda members: {}
    """Parameters of the likelihood, by name, as a fresh fit of M members starts with them."""
    credit: Float[Tensor, "N L"] | None = None
    """Weight of each step, for ratings that are about some steps only; None: all count."""
    trials: float = 1.0
    """How many independent orders an answered question is worth."""
    calibrated: bool = True
    """Whether the likelihood gives orders a probability."""

    @property
    def questions(self) -> int:
        """How many questions the observations answer."""
        return int(self.question.max()) + 1


def comparison_term(labels: Preferences, ties: str, smoothing: float) -> Term:
    """Soft labels on pairs: Bradley-Terry, or Davidson where ties are outcomes of their own.

    A mistake is the opposite answer. Ties are left out of the margins.

    Args:
        labels: the pairs.
        ties: `half`, `davidson`, or `drop`, which gives ties a weight of 0.
        smoothing: share of each target that is replaced by 1/2.
    """
    counted = labels.target != 0.5 if ties == "drop" else np.ones(len(labels), bool)
    target = torch.from_numpy(np.array(labels.target, dtype=np.float32))
    smooth = target + smoothing * (0.5 - target)
    davidson = ties == "davidson"

    def likelihood(scores: Tensor, targets: Tensor, heads: Heads) -> Tensor:
        left, right = scores.unbind(2)
        if davidson:
            return likelihoods.davidson(left, right, targets, heads["log_tie"])
        return likelihoods.bradley_terry(left, right, targets)

    def margins(scores: Tensor) -> tuple[Tensor, Tensor]:
        strict = torch.nonzero(target != 0.5)[:, 0]
        sign = torch.sign(target[strict] - 0.5)
        return (scores[:, strict, 1] - scores[:, strict, 0]) * sign, strict[:, None].expand(-1, 2)

    return Term(
        items=torch.from_numpy(np.array(labels.pair, dtype=np.int64)),
        weight=torch.from_numpy((labels.weight * counted).astype(np.float32)),
        question=torch.arange(len(labels)),
        loss=lambda scores, index, heads: likelihood(scores, smooth[index], heads),
        mistaken_loss=lambda loss, scores, index, heads: likelihood(
            scores, 1 - smooth[index], heads
        ),
        margins=margins,
        heads=lambda members: {"log_tie": torch.full((members, 1), -2.0)} if davidson else {},
    )


def ranking_term(labels: RankingLabels, ties: str) -> Term:
    """Rankings, and best of K: Plackett-Luce, with half a vote for each side of a tie.

    A mistake is any order, each as likely as the next.

    Args:
        labels: the rankings.
        ties: `drop` leaves ties out.
    """
    rankings = labels.rankings
    items = torch.from_numpy(np.array(rankings.items, dtype=np.int64)).clamp(min=0)
    beats = torch.from_numpy(rankings.beats)
    equals = torch.from_numpy(rankings.equals & (ties != "drop"))

    def loss(scores: Tensor, index: Tensor, heads: Heads) -> Tensor:
        ordered = likelihoods.plackett_luce(scores, beats[index])
        return ordered + likelihoods.shared_places(scores, equals[index])

    def mistaken_loss(loss: Tensor, scores: Tensor, index: Tensor, heads: Heads) -> Tensor:
        even = torch.zeros_like(scores[:1])
        none = likelihoods.plackett_luce(even, beats[index])
        none = none + likelihoods.shared_places(even, equals[index])
        return none.expand_as(loss)

    def margins(scores: Tensor) -> tuple[Tensor, Tensor]:
        observation, first, second = torch.nonzero(beats, as_tuple=True)
        advantage = scores[:, observation, first] - scores[:, observation, second]
        return advantage, observation[:, None].expand(-1, 2)

    return Term(
        items=items,
        weight=torch.from_numpy(labels.weight.astype(np.float32)),
        question=question_numbers(np.sort(rankings.items, axis=1)),
        loss=loss,
        mistaken_loss=mistaken_loss,
        margins=margins,
    )


def rating_term(labels: RatingLabels, segments: Segments, settings: Likelihoods, form: str) -> Term:
    """Ratings of clips, or of moments in them: Gaussian around a line, or ordered levels.

    A mistake is any rating, drawn as ratings are on the whole. Every two ratings of different
    questions that differ make one order, so an answered question is worth half of one. The scale of
    a rating is its own: the difference of two scores is no log-odds.

    Args:
        labels: the ratings.
        segments: the clips.
        settings: the likelihood, and the steps that a moment's rating is a reaction to.
        form: prefix of the heads' names.
    """
    ratings = labels.ratings
    question = question_numbers(np.stack([ratings.segment, ratings.step], axis=1))
    value = torch.from_numpy(standardised_ratings(ratings).astype(np.float32))
    level = torch.from_numpy(rating_levels(ratings.value))
    # One level alone has no threshold.
    ordinal = settings.ratings == "ordinal" and int(level.max()) > 0

    def heads(members: int) -> dict[str, Tensor]:
        if not ordinal:
            return {
                f"{form}.log_scale": torch.zeros(members, 1),
                f"{form}.offset": torch.zeros(members, 1),
                f"{form}.log_noise": torch.full((members, 1), -0.5),
            }
        # Thresholds as the shares of the levels would have them, if every score were 0.
        count = torch.bincount(level)
        below = (count.cumsum(0)[:-1] / count.sum()).clamp(0.01, 0.99)
        cuts = torch.logit(below).to(torch.float32)
        gaps = torch.log(torch.expm1((cuts[1:] - cuts[:-1]).clamp(min=0.05)))
        return {
            f"{form}.first_cut": cuts[:1].repeat(members, 1),
            f"{form}.cut_gaps": gaps[None].repeat(members, 1),
        }

    def loss(scores: Tensor, index: Tensor, heads: Heads) -> Tensor:
        score = scores[:, :, 0]
        if ordinal:
            cuts = likelihoods.ascending(heads[f"{form}.first_cut"], heads[f"{form}.cut_gaps"])
            return likelihoods.ordinal(score, level[index], cuts)
        line = (heads[f"{form}.{name}"] for name in ("log_scale", "offset", "log_noise"))
        return likelihoods.gaussian(score, value[index], *line)

    def mistaken_loss(loss: Tensor, scores: Tensor, index: Tensor, heads: Heads) -> Tensor:
        if ordinal:
            return torch.full_like(loss, float(np.log(int(level.max()) + 1)))
        return (value[index].square() / 2).expand_as(loss)

    def margins(scores: Tensor) -> tuple[Tensor, Tensor]:
        higher = value[:, None] > value
        apart = question[:, None] != question
        first, second = torch.nonzero(higher & apart, as_tuple=True)
        return scores[:, first, 0] - scores[:, second, 0], torch.stack([first, second], dim=1)

    return Term(
        items=torch.from_numpy(np.array(ratings.segment, dtype=np.int64))[:, None],
        weight=torch.from_numpy(labels.weight.astype(np.float32)),
        question=question,
        loss=loss,
        mistaken_loss=mistaken_loss,
        margins=margins,
        heads=heads,
        credit=torch.from_numpy(_credit(ratings, segments, settings.delay_steps)),
        trials=0.5,
        calibrated=False,
    )


def _credit(
    ratings: Ratings, segments: Segments, delay_steps: tuple[int, int]
) -> Float[np.ndarray, "R L"]:
    """Weights of the steps that a rating is about: those of a whole clip sum to L."""
    mask: Bool[np.ndarray, "R L"] = segments.mask[ratings.segment]
    step = np.arange(segments.steps)
    rated_at = ratings.step[:, None]
    nearest, farthest = delay_steps
    window = (step >= rated_at - farthest) & (step <= np.maximum(rated_at - nearest, 0)) & mask
    whole = (ratings.step == WHOLE)[:, None]
    counted = np.where(whole, mask, window)
    credit: np.ndarray = counted * (
        segments.steps / np.maximum(counted.sum(axis=1, keepdims=True), 1)
    )
    return credit.astype(np.float32)


def standardised_ratings(ratings: Ratings) -> Float[np.ndarray, " R"]:
    """Values with mean 0 and standard deviation 1 for each worker: everybody has a scale of theirs.

    A worker's mean and deviation are drawn towards those of all by as much as five ratings of
    the others would.
    """
    values = ratings.value
    _, worker, count = np.unique(ratings.worker, return_inverse=True, return_counts=True)
    prior = 5.0
    overall, variance = values.mean(), values.var()
    mean = (np.bincount(worker, values) + prior * overall) / (count + prior)
    squares = np.bincount(worker, np.square(values - mean[worker]))
    deviation = np.sqrt((squares + prior * variance) / (count + prior))
    return (values - mean[worker]) / np.maximum(deviation, 1e-9)[worker]


def question_numbers(names: np.ndarray) -> Int[Tensor, " R"]:
    """Number the question of each row in order of appearance; equal rows are one question."""
    _, first, which = np.unique(names, axis=0, return_index=True, return_inverse=True)
    return torch.from_numpy(first.argsort().argsort()[which.ravel()])


def rating_levels(values: np.ndarray) -> Int[np.ndarray, " R"]:
    """Ordered levels from 0: the distinct values, or quantiles where there are too many."""
    distinct = np.unique(values)
    if len(distinct) > MOST_LEVELS:
        distinct = np.unique(np.quantile(values, np.arange(MOST_LEVELS) / MOST_LEVELS))
    levels: np.ndarray = (np.searchsorted(distinct, values, side="right") - 1).clip(min=0)
    return levels
