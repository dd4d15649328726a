"""From raw judgements to what a fit is told: evidence kept, workers weighed."""

from dataclasses import replace

import numpy as np
from jaxtyping import Bool

from rlhf_core.aggregation import Aggregated, Aggregator
from rlhf_core.aggregation._agreement import krippendorff_alpha
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
from rlhf_core.feedback import Evidence
from rlhf_core.rewards.model import Labels
from rlhf_core.types import Metrics

CONSENSUS_ROUNDS = 10


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
    """Weight (R,) of each rating: how far its worker's ratings go with those of the others.

    The correlation of a worker's ratings with the weighted mean of the others' on the same clips,
    negative ones as 0, iterated half a step at a time. The expert counts fully, and the first
    round of all is told by the expert alone where there are enough gold ratings, so that a
    majority of inverters cannot turn the sign. A worker whose clips nobody else rated counts fully.
    """
    worker_id, worker = np.unique(ratings.worker, return_inverse=True)
    if len(worker_id) < 2:
        return np.ones(len(ratings))
    question = np.stack([ratings.segment, ratings.step], axis=1)
    _, clip = np.unique(question, axis=0, return_inverse=True)
    clip = clip.ravel()
    expert = worker_id == EXPERT
    weight = np.ones(len(worker_id))
    for round in range(CONSENSUS_ROUNDS):
        own = (expert if expert.any() and not round else weight)[worker].astype(np.float64)
        total = np.bincount(clip, own)[clip] - own
        shared = total > 1e-9
        mean = np.bincount(clip, own * ratings.value)[clip] - own * ratings.value
        others = mean[shared] / total[shared]
        told = np.clip(_correlations(ratings.value[shared], others, worker[shared], weight), 0, 1)
        enough = np.bincount(worker[shared], minlength=len(worker_id)) > 2
        # Half a step: a split crowd would swing from one side to the other for ever.
        following = told if expert.any() and not round else (weight + told) / 2
        weight = np.where(expert, 1.0, np.where(enough, following, weight))
    return weight[worker]


def _correlations(
    first: np.ndarray, second: np.ndarray, group: np.ndarray, like: np.ndarray
) -> np.ndarray:
    """Pearson correlation within each group, 0 where a side never varies."""
    count = np.maximum(np.bincount(group, minlength=len(like)), 1)

    def mean(values: np.ndarray) -> np.ndarray:
        return np.bincount(group, values, minlength=len(like)) / count

    a, b = first - mean(first)[group], second - mean(second)[group]
    spread = np.sqrt(mean(a * a) * mean(b * b))
    return np.where(spread > 1e-9, mean(a * b) / np.maximum(spread, 1e-9), 0.0)


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
