"""From raw judgements to what a fit is told: evidence kept, workers weighed."""

from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Float

from rlhf_core.aggregation import Aggregated, Aggregator
from rlhf_core.crowd.agreement import krippendorff_alpha
from rlhf_core.evidence import (
    EXPERT,
    NOBODY,
    Annotations,
    Answers,
    Choice,
    Queries,
    Rankings,
    Ratings,
    Request,
    Workers,
    concatenate,
    where,
)
from rlhf_core.feedback_strategy import Evidence
from rlhf_core.rewards.model import Labels
from rlhf_core.types import Metrics

SHARED = 2
"""Clips that two raters must have in common, and more, to be compared."""


def gathered(evidence: Evidence | None, request: Request, answers: Answers) -> Evidence:
    """All evidence, with this round's put behind it."""
    segments = request.segments
    if answers.segments is not None:
        segments = concatenate(segments, answers.segments)
    new = Evidence(
        segments, request.queries, answers.comparisons, answers.rankings, answers.ratings
    )
    if evidence is None:
        return new
    clips, pairs = len(evidence.segments), len(evidence.queries)
    return Evidence(
        concatenate(evidence.segments, new.segments),
        concatenate(evidence.queries, Queries(new.queries.items + clips)),
        concatenate(
            evidence.comparisons, replace(new.comparisons, query=new.comparisons.query + pairs)
        ),
        _joined(evidence.rankings, new.rankings, clips),
        concatenate(evidence.ratings, replace(new.ratings, segment=new.ratings.segment + clips)),
    )


def _joined(first: Rankings, second: Rankings, moved: int) -> Rankings:
    """Two sets of rankings, the shorter groups filled up; the second one's positions move on."""
    width = max(first.items.shape[1], second.items.shape[1])

    def wide(items: np.ndarray, filling: int) -> np.ndarray:
        return np.pad(items, ((0, 0), (0, width - items.shape[1])), constant_values=filling)

    def ties(given: Rankings) -> np.ndarray:
        none = np.zeros(given.items.shape, dtype=bool)
        return wide(none if given.tied is None else given.tied, False)

    shifted = np.where(second.items == NOBODY, NOBODY, second.items + moved)
    places, worker, seconds, cost = (
        np.concatenate([getattr(first, name), getattr(second, name)])
        for name in ("places", "worker", "seconds", "cost")
    )
    items = np.concatenate([wide(first.items, NOBODY), wide(shifted, NOBODY)])
    tied = np.concatenate([ties(first), ties(second)])
    return Rankings(items, places, worker, seconds, cost, tied)


def ordered_pairs(rankings: Rankings) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Row, better and worse segment (P,) of every order that the rankings state."""
    row, first, second = np.nonzero(rankings.beats)
    return row, rankings.items[row, first], rankings.items[row, second]


def aggregated(aggregator: Aggregator, evidence: Evidence) -> tuple[Aggregated, np.ndarray]:
    """Labels made of the comparisons, and a weight (R,) for each ranking.

    The pairs that rankings state are judgements too: together with the comparisons they tell what
    a worker is worth, and a ranking counts by how far its worker is above chance.
    """
    rankings, comparisons = evidence.rankings, evidence.comparisons
    found = aggregator.aggregate(evidence.queries, comparisons)
    people = np.unique(np.concatenate([comparisons.worker, rankings.worker]))
    if not len(rankings) or (people != EXPERT).sum() < 2:
        return found, np.ones(len(rankings))
    row, better, worse = ordered_pairs(rankings)
    pairs = np.stack([np.minimum(better, worse), np.maximum(better, worse)], axis=1)
    pairs, query = np.unique(pairs, axis=0, return_inverse=True)
    choice = np.where(better > worse, Choice.RIGHT, Choice.LEFT)
    nothing = np.zeros(len(row))
    stated = Annotations(
        query.ravel() + len(evidence.queries), rankings.worker[row], choice, nothing, nothing
    )
    workers = aggregator.aggregate(
        concatenate(evidence.queries, Queries(pairs)), concatenate(comparisons, stated)
    ).workers
    above_chance = np.clip(2 * workers.competence - 1, 0, 1)
    weight = np.ones(len(rankings))
    of_people = rankings.worker != EXPERT
    known = np.searchsorted(workers.worker, rankings.worker[of_people])
    weight[of_people] = above_chance[known]
    return Aggregated(found.preferences, workers), weight


def rating_weights(ratings: Ratings) -> np.ndarray:
    """Weight (R,) of each rating: how far its worker goes with what the workers have in common.

    The first eigenvector of the workers' correlations on the clips that they share, its largest
    entry 1 and negative ones 0. Its sign is the expert's where there is one, so that a majority of
    inverters cannot turn it, and else that of its sum. Whoever shares fewer than three clips with
    everybody counts fully, and so does the expert.
    """
    worker_id, worker = np.unique(ratings.worker, return_inverse=True)
    if len(worker_id) < 2:
        return np.ones(len(ratings))
    question = np.stack([ratings.segment, ratings.step], axis=1)
    _, clip = np.unique(question, axis=0, return_inverse=True)
    shape = (len(worker_id), int(clip.max()) + 1)
    given, value = np.zeros(shape), np.zeros(shape)
    given[worker, clip.ravel()] = 1.0
    value[worker, clip.ravel()] = ratings.value
    correlation, shared = _correlations(value, given)
    _, vectors = np.linalg.eigh(correlation)
    common, expert = vectors[:, -1], worker_id == EXPERT
    side = common[expert].sum() or common.sum()
    weight = np.clip(common * (np.sign(side) or 1.0), 0, None)
    weight = weight / max(weight.max(), 1e-9)
    alone = (shared > SHARED).sum(axis=1) == (shared.diagonal() > SHARED)
    return np.where(expert | alone, 1.0, weight)[worker]


def _correlations(
    value: Float[np.ndarray, "W C"], given: Float[np.ndarray, "W C"]
) -> tuple[Float[np.ndarray, "W W"], Float[np.ndarray, "W W"]]:
    """Pearson correlation of each two workers over the clips that both rated, and how many.

    0 where they share too few or one never varies on them; `value` is 0 where nothing was given.
    """
    shared = given @ given.T
    count = np.maximum(shared, 1.0)
    # Row i, column j: moments of worker i over the clips that j rated as well.
    mean = value @ given.T / count
    variance = np.maximum(np.square(value) @ given.T / count - np.square(mean), 0.0)
    covariance = value @ value.T / count - mean * mean.T
    spread = np.sqrt(variance * variance.T)
    known = (shared > SHARED) & (spread > 1e-9)
    return np.where(known, covariance / np.maximum(spread, 1e-9), 0.0), shared


def spoken_of(labels: Labels, chosen: Bool[np.ndarray, " S"]) -> Labels:
    """The labels of which some segment is among the chosen ones."""
    preferences, rankings, ratings = labels.preferences, labels.rankings, labels.ratings
    group = (chosen[rankings.items] & (rankings.items != NOBODY)).any(axis=1)
    clip = chosen[ratings.segment]
    return Labels(
        where(preferences, chosen[preferences.pair].any(axis=1)),
        where(rankings, group),
        labels.ranking_weight[group],
        where(ratings, clip),
        labels.rating_weight[clip],
    )


def worker_metrics(evidence: Evidence, workers: Workers) -> Metrics:
    """What a round says of the people who answered; nothing where there was one alone."""
    if len(workers) < 2:
        return {}
    given = evidence.comparisons
    alpha = krippendorff_alpha(given.query, given.worker, given.choice)
    metrics = {"feedback/worker_competence": float(workers.competence.mean())}
    if np.isfinite(alpha):
        metrics["feedback/krippendorff_alpha"] = alpha
    return metrics
