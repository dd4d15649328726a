"""CrowdBT: every clip has a score, and every worker a distribution over ways of answering."""

from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float, Int
from pydantic import PositiveFloat, PositiveInt, model_validator
from scipy.special import expit

from rlhf_core.aggregation import Aggregated, Aggregator
from rlhf_core.answers import Comparisons
from rlhf_core.crowd.scores import difference, improve_scores
from rlhf_core.crowd.votes import RIGHT_SHARE, Votes, certainty, collect_votes, report
from rlhf_core.judgements import Choice
from rlhf_core.labels import Preferences
from rlhf_core.questions import Queries

SURE = 3.0
"""Score difference of a gold pair before the first iteration."""


class _Sides(NamedTuple):
    """Judgements as choices of a side; "equal" is half a choice of each."""

    query: Int[np.ndarray, " R"]
    worker: Int[np.ndarray, " R"]
    right: Float[np.ndarray, " R"]
    """1 for the right side, 0 for the left."""
    weight: Float[np.ndarray, " R"]


class CrowdBradleyTerry(Aggregator):
    """CrowdBT (Chen et al. 2013, https://doi.org/10.1145/2433396.2433420) with sides.

        P(w chooses right) = honest_w sigma(d) + inverted_w sigma(-d) + right_w
        d = score_right - score_left,    honest + inverted + left + right = 1

    Scores of clips are shared by all their pairs and have a Gaussian prior; the four ways of
    answering have a Dirichlet prior, fitted by expectation-maximisation. With left = right = 0
    this is CrowdBT; the two model workers who always choose the same side. Competence is honest +
    (left + right) / 2. Answers do not determine the common sign of all scores and competences: gold
    questions do, and without them the prior, which assumes more honest answers than inverted ones.
    The target is sigma(d), or the expert's answer.
    """

    kind: Literal["crowd_bradley_terry"] = "crowd_bradley_terry"
    score_spread: PositiveFloat = 2.0
    """Prior standard deviation of a score; d = 2 is 88 % agreement."""
    honest: PositiveFloat = 4.0
    """Prior count of honest answers of each worker."""
    inverted: PositiveFloat = 1.0
    """Prior count of inverted answers; less than that of honest ones."""
    sided: PositiveFloat = 1.0
    """Prior count of answers that do not depend on the clips, half of them left."""
    expert_weight: PositiveFloat = 10.0
    """Honest judgements that one answer of the expert counts as."""
    weighting: Literal["certainty", "uniform"] = "certainty"
    """certainty: the weight of a label is 1 - entropy of its target in bits, so that an unknown
    answer is not taken for "equal"; uniform: every weight is 1. Expert labels have weight 1."""
    iterations: PositiveInt = 300
    """Largest number of iterations of expectation and maximisation."""
    tolerance: PositiveFloat = 1e-4
    """Largest change of a target at which the iterations end."""

    @model_validator(mode="after")
    def _more_honest_than_inverted(self) -> "CrowdBradleyTerry":
        if self.honest <= self.inverted:
            raise ValueError(
                f"honest: expected more than inverted ({self.inverted}), so that the sign of "
                f"the scores is known, actual: {self.honest}"
            )
        return self

    def aggregate(self, queries: Queries, annotations: Comparisons) -> Aggregated:
        """Compute P(an honest worker chooses right) as targets."""
        votes = collect_votes(queries, annotations)
        answered, settled = votes.answered, votes.settled
        items, place = np.unique(queries.items[answered], return_inverse=True)
        pair = np.zeros_like(queries.items)
        pair[answered] = place.reshape(-1, 2)
        gap, ways = self._fit(votes, pair, len(items))
        target = np.where(settled, votes.gold @ RIGHT_SHARE, expit(gap))
        weight = np.ones(len(queries))
        if self.weighting == "certainty":
            weight = np.where(settled, 1.0, certainty(np.stack([1 - target, target], axis=1)))
        preferences = Preferences(queries.items[answered], target[answered], weight[answered])
        competence = np.clip(ways[:, 0] + ways[:, 2:].sum(axis=1) / 2, 0, 1)
        return Aggregated(preferences, report(votes, target, competence))

    def _fit(
        self, votes: Votes, pair: Int[np.ndarray, "N 2"], items: int
    ) -> tuple[Float[np.ndarray, " N"], Float[np.ndarray, "W 4"]]:
        """Score differences (N,), and each worker's P(honest), P(inverted), P(left), P(right)."""
        prior_counts = np.array([self.honest, self.inverted, self.sided / 2, self.sided / 2])
        sides = _sides(votes)
        settled = votes.settled
        known = votes.gold @ RIGHT_SHARE
        people = len(votes.workers)

        # Ways of answering start from gold questions alone; workers without any, from the average.
        gap = np.where(settled, SURE * (2 * known - 1), 0.0)
        start = np.tile(prior_counts / prior_counts.sum(), (people, 1))
        counts = _count(sides, _ways_of(sides, gap, start), people, settled[sides.query])
        pooled = prior_counts + counts.sum(axis=0)
        ways = _normalise(counts + prior_counts.sum() * pooled / pooled.sum())

        score = np.zeros(max(items, 1))
        weight_of_gold = self.expert_weight * settled
        for _ in range(self.iterations):
            share = _ways_of(sides, gap, ways)
            ways = _normalise(prior_counts + _count(sides, share, people))
            attentive = sides.weight * (share[:, 0] + share[:, 1])
            upward = sides.weight * np.where(sides.right == 1, share[:, 0], share[:, 1])
            weight = np.bincount(sides.query, attentive, len(pair)) + weight_of_gold
            mass = np.bincount(sides.query, upward, len(pair)) + weight_of_gold * known
            target = np.divide(mass, weight, out=np.full(len(pair), 0.5), where=weight > 0)
            score = improve_scores(score, pair, target, weight, self.score_spread, steps=2)
            before, gap = gap, difference(score, pair)
            if np.abs(expit(gap) - expit(before)).max(initial=0) < self.tolerance:
                break
        return gap, ways


def _sides(votes: Votes) -> _Sides:
    tied = votes.choice == Choice.EQUAL
    right = (votes.choice == Choice.RIGHT).astype(np.float64)
    return _Sides(
        query=np.concatenate([votes.query, votes.query[tied]]),
        worker=np.concatenate([votes.worker, votes.worker[tied]]),
        right=np.concatenate([right, np.ones(int(tied.sum()))]),
        weight=np.concatenate([np.where(tied, 0.5, 1.0), np.full(int(tied.sum()), 0.5)]),
    )


def _ways_of(
    sides: _Sides, gap: Float[np.ndarray, " N"], ways: Float[np.ndarray, "W 4"]
) -> Float[np.ndarray, "R 4"]:
    """P(way | answer) of every judgement."""
    honest = expit(np.where(sides.right == 1, 1.0, -1.0) * gap[sides.query])
    likely = np.stack([honest, 1 - honest, 1 - sides.right, sides.right], axis=1)
    return _normalise(ways[sides.worker] * likely)


def _count(
    sides: _Sides,
    share: Float[np.ndarray, "R 4"],
    people: int,
    which: np.ndarray | float = 1.0,
) -> Float[np.ndarray, "W 4"]:
    """Expected number of judgements of every worker in each way of answering."""
    counts = np.zeros((people, share.shape[1]))
    np.add.at(counts, sides.worker, share * (sides.weight * which)[:, None])
    return counts


def _normalise(mass: Float[np.ndarray, "X 4"]) -> Float[np.ndarray, "X 4"]:
    return mass / mass.sum(axis=1, keepdims=True)
