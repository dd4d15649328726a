"""CrowdBT: every clip has a score, and every worker a distribution over ways of answering."""

from dataclasses import replace
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float, Int
from pydantic import PositiveFloat, PositiveInt, model_validator
from scipy.special import expit, log_expit

from rlhf_core.aggregation import Aggregated, Aggregator
from rlhf_core.answers import Comparisons
from rlhf_core.crowd.scores import difference, fit_scores, improve_scores
from rlhf_core.crowd.sign import SURE_LOG_ODDS, agreement, honest_workers, majority
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
    (left + right) / 2. The target is sigma(d), or the expert's answer.

    Answers do not determine the common sign of all scores and competences. So both signs are
    fitted, and compared by gold questions and by the number of honest workers
    (`rlhf_core.crowd.sign`). Where the odds are below 20 to 1, the sign stays that of earlier
    labels, and the log-odds tell that it is not known. The fit begins with the earlier labels.
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

    def aggregate(
        self, queries: Queries, annotations: Comparisons, earlier: Preferences | None = None
    ) -> Aggregated:
        """Compute P(an honest worker chooses right) as targets."""
        votes = collect_votes(queries, annotations)
        answered, settled = votes.answered, votes.settled
        items, place = np.unique(queries.items[answered], return_inverse=True)
        pair = np.zeros_like(queries.items)
        pair[answered] = place.reshape(-1, 2)
        known = _known(earlier, items)
        fit, log_odds = self._with_sign(_Answers(votes, _sides(votes), pair, len(items)), known)
        gap, ways = difference(fit.score, pair), fit.ways
        target = np.where(settled, votes.gold @ RIGHT_SHARE, expit(gap))
        weight = np.ones(len(queries))
        if self.weighting == "certainty":
            weight = np.where(settled, 1.0, certainty(np.stack([1 - target, target], axis=1)))
        preferences = Preferences(queries.items[answered], target[answered], weight[answered])
        competence = np.clip(ways[:, 0] + ways[:, 2:].sum(axis=1) / 2, 0, 1)
        workers = replace(report(votes, target, competence), sign_log_odds=log_odds)
        return Aggregated(preferences, workers)

    def _with_sign(self, answers: "_Answers", known: "_Known") -> tuple["_Fit", float]:
        """Fit both signs, and return the chosen fit with the log-odds against the other one."""
        start = np.zeros(max(answers.items, 1))
        if not len(answers.votes.query):
            return self._fit(answers, start, None), np.inf
        if len(known.pair):
            ones = np.ones(len(known.pair))
            start = fit_scores(known.pair, known.target, ones, self.score_spread, len(start))
        one = self._fit(answers, start, None)
        other = self._fit(answers, -one.score, one.ways[:, [1, 0, 2, 3]])
        (gold, lead), (other_gold, other_lead) = (
            self._evidence(answers, fit) for fit in (one, other)
        )
        log_odds = gold - other_gold + (lead - other_lead) / 2
        sure = abs(log_odds) >= SURE_LOG_ODDS
        agrees = agreement(one.score, known.pair, known.target)
        turned = log_odds < 0 if sure or agrees == 0 else agrees < 0
        return (other, -log_odds) if turned else (one, log_odds)

    def _evidence(self, answers: "_Answers", fit: "_Fit") -> tuple[float, float]:
        """Return the log-likelihood of all answers to gold, and the log-odds of a majority."""
        votes, sides, settled = answers.votes, answers.sides, answers.votes.settled
        gap, gold = difference(fit.score, answers.pair), votes.gold @ RIGHT_SHARE
        likely = (fit.ways[sides.worker] * _likelihoods(sides, gap)).sum(axis=1)
        of_workers = (sides.weight * np.log(likely))[settled[sides.query]].sum()
        of_expert = (gold * log_expit(gap) + (1 - gold) * log_expit(-gap))[settled].sum()
        agrees = sides.weight * _agreement_with_others(sides, fit.ways, len(gap))
        people = len(votes.workers)
        agreeing = np.bincount(sides.worker, agrees, people)
        against = np.bincount(sides.worker, sides.weight, people) - agreeing
        gold_likelihood = float(of_workers + self.expert_weight * of_expert)
        attentive = fit.ways[:, 0] + fit.ways[:, 1]
        return gold_likelihood, majority(honest_workers(agreeing, against), attentive)

    def _fit(
        self,
        answers: "_Answers",
        score: Float[np.ndarray, " S"],
        ways: Float[np.ndarray, "W 4"] | None,
    ) -> "_Fit":
        """Climb from scores, and from each worker's ways of answering, to the next maximum.

        Without `ways` they start from gold questions alone; workers without any, from the average.
        """
        votes, sides, pair = answers.votes, answers.sides, answers.pair
        prior_counts = np.array([self.honest, self.inverted, self.sided / 2, self.sided / 2])
        settled, people = votes.settled, len(votes.workers)
        known = votes.gold @ RIGHT_SHARE
        gap = np.where(settled, SURE * (2 * known - 1), difference(score, pair))
        if ways is None:
            start = np.tile(prior_counts / prior_counts.sum(), (people, 1))
            counts = _count(sides, _ways_of(sides, gap, start), people, settled[sides.query])
            pooled = prior_counts + counts.sum(axis=0)
            ways = _normalise(counts + prior_counts.sum() * pooled / pooled.sum())
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
        return _Fit(score, ways)


class _Answers(NamedTuple):
    """All judgements, and the clips of each pair."""

    votes: Votes
    sides: _Sides
    pair: Int[np.ndarray, "N 2"]
    items: int
    """S, clips that were judged."""


class _Fit(NamedTuple):
    """Scores of clips, and each worker's P(honest), P(inverted), P(left), P(right)."""

    score: Float[np.ndarray, " S"]
    ways: Float[np.ndarray, "W 4"]


class _Known(NamedTuple):
    """Earlier labels of pairs of the same clips."""

    pair: Int[np.ndarray, "K 2"]
    target: Float[np.ndarray, " K"]


def _known(earlier: Preferences | None, items: Int[np.ndarray, " S"]) -> _Known:
    """Return the earlier labels with positions among `items` in place of clips."""
    if earlier is None:
        return _Known(np.empty((0, 2), dtype=np.int64), np.empty(0))
    here = np.isin(earlier.pair, items).all(axis=1)
    return _Known(np.searchsorted(items, earlier.pair[here]), earlier.target[here])


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
    return _normalise(ways[sides.worker] * _likelihoods(sides, gap))


def _likelihoods(sides: _Sides, gap: Float[np.ndarray, " N"]) -> Float[np.ndarray, "R 4"]:
    """P(answer | way) of every judgement."""
    honest = expit(np.where(sides.right == 1, 1.0, -1.0) * gap[sides.query])
    return np.stack([honest, 1 - honest, 1 - sides.right, sides.right], axis=1)


def _agreement_with_others(
    sides: _Sides, ways: Float[np.ndarray, "W 4"], queries: int
) -> Float[np.ndarray, " R"]:
    """Probability of every answer to be right, by the other workers' answers to the question.

        sigma(sum over the others of log P(answer | right is better) / P(answer | left is better))

    The own answer is part of the label: with it, every worker would agree with any label.
    """
    honest, inverted, left, right = ways[sides.worker].T
    pressed = np.where(sides.right == 1, right, left)
    direction = np.where(sides.right == 1, 1.0, -1.0)
    log_odds = sides.weight * direction * np.log((honest + pressed) / (inverted + pressed))
    others = np.bincount(sides.query, log_odds, queries)[sides.query] - log_odds
    return np.asarray(expit(direction * others))


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
