"""Dawid and Skene's model: every worker has a confusion matrix."""

from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int
from pydantic import NonNegativeFloat, PositiveFloat, PositiveInt

from rlhf_core.aggregation import Aggregated, Aggregator
from rlhf_core.answers import Comparisons
from rlhf_core.crowd.votes import CLASSES, RIGHT_SHARE, Votes, certainty, collect_votes, report
from rlhf_core.judgements import Choice
from rlhf_core.labels import Preferences
from rlhf_core.questions import Queries

TINY = 1e-10
"""Replaces a probability of 0, whose logarithm would exclude an answer in every later step."""


class Model(NamedTuple):
    """Estimates of expectation-maximisation. C are the classes that were ever chosen."""

    posterior: Float[np.ndarray, "N C"]
    prior: Float[np.ndarray, " C"]
    confusion: Float[np.ndarray, "W C C"]
    """P(chosen | true) as [worker, chosen, true]."""


class DawidSkene(Aggregator):
    """Expectation-maximisation of Dawid and Skene (1979, https://doi.org/10.2307/2346806).

        P(z_q = c | answers) ~ p_c  product over answers a of worker w to q of  P_w(a | c)
        P_w(a | c) ~ smoothing + trust [a = c] + sum over w's answers a to q of P(z_q = c)

    z_q in {left, right, equal} is the true answer; a class that was never chosen is left out.
    The fit starts from the shares of votes or, with gold questions, from each worker's answers to
    them. Gold questions stay clamped to the expert's answer. The target is P(right) + P(equal) / 2.
    """

    kind: Literal["dawid_skene"] = "dawid_skene"
    smoothing: NonNegativeFloat = 1.0
    """Prior count of each answer of a worker, for each true answer."""
    trust: NonNegativeFloat = 2.0
    """Prior count of right answers beyond these; above 0 it assumes workers better than chance."""
    balanced: bool = True
    """Left and right are equally likely a priori, as they are where sides are drawn; otherwise p is
    estimated, and workers who always choose left may be taken for right."""
    weighting: Literal["certainty", "uniform"] = "certainty"
    """certainty: the weight of a label is 1 - entropy of its posterior / log of the number of
    classes, so that an unknown answer is not taken for "equal"; uniform: every weight is 1."""
    iterations: PositiveInt = 200
    """Largest number of iterations of expectation and maximisation."""
    tolerance: PositiveFloat = 1e-6
    """Largest change of a posterior probability at which the iterations end."""

    def aggregate(
        self, queries: Queries, annotations: Comparisons, earlier: Preferences | None = None
    ) -> Aggregated:
        """Compute posterior probabilities of the right side as targets."""
        votes = collect_votes(queries, annotations)
        answered = votes.answered
        chosen = votes.shares.any(axis=0) | (np.bincount(votes.choice, minlength=CLASSES) > 0)
        chosen[[Choice.LEFT, Choice.RIGHT]] = True
        model = self._fit(votes, answered, chosen)
        side = RIGHT_SHARE[chosen]
        target = np.clip(model.posterior @ side, 0, 1)
        sure = self.weighting == "certainty"
        weight = certainty(model.posterior) if sure else np.ones(len(queries))
        preferences = Preferences(queries.items[answered], target[answered], weight[answered])
        return Aggregated(preferences, report(votes, target, _competence(model, side)))

    def _fit(
        self, votes: Votes, answered: Bool[np.ndarray, " N"], chosen: Bool[np.ndarray, " C"]
    ) -> Model:
        settled, gold = votes.settled, votes.gold[:, chosen]
        answer = (np.cumsum(chosen) - 1)[votes.choice]
        prior_counts = self.smoothing + self.trust * np.eye(int(chosen.sum()))

        def confusion(
            posterior: Float[np.ndarray, "N C"], pseudo: Float[np.ndarray, "C C"]
        ) -> Float[np.ndarray, "W C C"]:
            counts = _count(votes, answer, posterior) + pseudo
            counts = np.maximum(counts, TINY)
            return counts / counts.sum(axis=1, keepdims=True)

        def classes(posterior: Float[np.ndarray, "N C"]) -> Float[np.ndarray, " C"]:
            mass = posterior[answered].sum(axis=0) + self.smoothing
            mass = np.maximum(mass, TINY)
            if self.balanced:
                mass[:2] = mass[:2].mean()
            return mass / mass.sum()

        def expect(
            prior: Float[np.ndarray, " C"], matrices: Float[np.ndarray, "W C C"]
        ) -> Float[np.ndarray, "N C"]:
            logs = np.tile(np.log(prior), (len(gold), 1))
            np.add.at(logs, votes.query, np.log(matrices[votes.worker, answer]))
            posterior = np.exp(logs - logs.max(axis=1, keepdims=True))
            posterior /= posterior.sum(axis=1, keepdims=True)
            return np.where(settled[:, None], gold, posterior)

        if settled.any():
            # Adversarial workers may have the majority of votes, but not on gold questions. Workers
            # without gold questions start from the average of the others.
            pooled = (_count(votes, answer, gold)).sum(axis=0) + prior_counts
            pooled *= prior_counts.sum(axis=0) / np.maximum(pooled.sum(axis=0), TINY)
            posterior = expect(classes(gold), confusion(gold, pooled))
        else:
            posterior = votes.shares[:, chosen]
        prior, matrices = classes(posterior), confusion(posterior, prior_counts)
        for _ in range(self.iterations):
            before, posterior = posterior, expect(prior, matrices)
            prior, matrices = classes(posterior), confusion(posterior, prior_counts)
            if np.abs(posterior - before).max(initial=0) < self.tolerance:
                break
        return Model(posterior, prior, matrices)


def _count(
    votes: Votes, answer: Int[np.ndarray, " R"], posterior: Float[np.ndarray, "N C"]
) -> Float[np.ndarray, "W C C"]:
    """Expected number of times that each worker chose one class where another was true."""
    classes = posterior.shape[1]
    counts = np.zeros((len(votes.workers), classes, classes))
    np.add.at(counts, (votes.worker, answer), posterior[votes.query])
    return counts


def _competence(model: Model, side: Float[np.ndarray, " C"]) -> Float[np.ndarray, " W"]:
    """P(preferred side chosen) where one side is preferred; "equal" is half a choice."""
    strict = model.prior[:2] / model.prior[:2].sum()
    right = np.einsum("a,waz->wz", side, model.confusion)
    return np.clip(strict[0] * (1 - right[:, 0]) + strict[1] * right[:, 1], 0, 1)
