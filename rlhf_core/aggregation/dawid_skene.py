"""Every worker has a confusion matrix."""

from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int
from pydantic import NonNegativeFloat, PositiveFloat, PositiveInt

from rlhf_core.aggregation import Aggregated, Aggregator
from rlhf_core.answers import Choice, Comparisons
from rlhf_core.crowd.votes import CLASSES, RIGHT_SHARE, Votes, certainty, report, votes
from rlhf_core.labels import Preferences
from rlhf_core.questions import Queries

TINY = 1e-10
"""Stands for a probability of 0, whose logarithm would rule an answer out for ever."""


class Model(NamedTuple):
    """What expectation-maximisation found. C are the classes that were ever named."""

    posterior: Float[np.ndarray, "N C"]
    prior: Float[np.ndarray, " C"]
    confusion: Float[np.ndarray, "W C C"]
    """P(said | true) as [worker, said, true]."""


class DawidSkene(Aggregator):
    """Expectation-maximisation of Dawid and Skene (1979, https://doi.org/10.2307/2346806).

        P(z_q = c | answers) ~ p_c  product over answers a of worker w to q of  P_w(a | c)
        P_w(a | c) ~ smoothing + trust [a = c] + sum over w's answers a to q of P(z_q = c)

    z_q in {left, right, equal} is the true answer; a class that nobody ever named does not
    exist. It starts from the shares of votes, or, with gold questions, from what they say of
    each worker. Gold questions stay clamped to the expert's word. The target is
    P(right) + P(equal) / 2.
    """

    kind: Literal["dawid_skene"] = "dawid_skene"
    smoothing: NonNegativeFloat = 1.0
    """Answers of each kind that a worker is supposed to have given before the first one."""
    trust: NonNegativeFloat = 2.0
    """Right answers beyond these; above 0 it is supposed that workers are better than chance."""
    balanced: bool = True
    """Left and right are equally likely before the first answer, as they are where sides are
    drawn; otherwise p is estimated, and a crowd that presses left may pass for a left truth."""
    weighting: Literal["certainty", "uniform"] = "certainty"
    """certainty: a label counts 1 - entropy of its posterior / log of the number of classes, so
    that "nobody knows" is not taken for "equal"; uniform: every label counts 1."""
    iterations: PositiveInt = 200
    """Rounds of expectation and maximisation at the most."""
    tolerance: PositiveFloat = 1e-6
    """Largest change of a posterior probability at which the rounds end."""

    def aggregate(self, queries: Queries, annotations: Comparisons) -> Aggregated:
        """Targets are posterior probabilities of the right side."""
        given = votes(queries, annotations)
        answered = given.answered
        named = given.shares.any(axis=0) | (np.bincount(given.choice, minlength=CLASSES) > 0)
        named[[Choice.LEFT, Choice.RIGHT]] = True
        model = self._fit(given, answered, named)
        side = RIGHT_SHARE[named]
        target = np.clip(model.posterior @ side, 0, 1)
        sure = self.weighting == "certainty"
        weight = certainty(model.posterior) if sure else np.ones(len(queries))
        preferences = Preferences(queries.items[answered], target[answered], weight[answered])
        return Aggregated(preferences, report(given, target, _competence(model, side)))

    def _fit(
        self, given: Votes, answered: Bool[np.ndarray, " N"], named: Bool[np.ndarray, " C"]
    ) -> Model:
        settled, gold = given.settled, given.gold[:, named]
        said = (np.cumsum(named) - 1)[given.choice]
        ahead = self.smoothing + self.trust * np.eye(int(named.sum()))

        def confusion(
            posterior: Float[np.ndarray, "N C"], pseudo: Float[np.ndarray, "C C"]
        ) -> Float[np.ndarray, "W C C"]:
            counts = _count(given, said, posterior) + pseudo
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
            np.add.at(logs, given.query, np.log(matrices[given.worker, said]))
            posterior = np.exp(logs - logs.max(axis=1, keepdims=True))
            posterior /= posterior.sum(axis=1, keepdims=True)
            return np.where(settled[:, None], gold, posterior)

        if settled.any():
            # Votes may be led by adversaries; what the gold questions say of people may not.
            # Who met no gold question starts as the average of those who did.
            pooled = (_count(given, said, gold)).sum(axis=0) + ahead
            pooled *= ahead.sum(axis=0) / np.maximum(pooled.sum(axis=0), TINY)
            posterior = expect(classes(gold), confusion(gold, pooled))
        else:
            posterior = given.shares[:, named]
        prior, matrices = classes(posterior), confusion(posterior, ahead)
        for _ in range(self.iterations):
            before, posterior = posterior, expect(prior, matrices)
            prior, matrices = classes(posterior), confusion(posterior, ahead)
            if np.abs(posterior - before).max(initial=0) < self.tolerance:
                break
        return Model(posterior, prior, matrices)


def _count(
    given: Votes, said: Int[np.ndarray, " R"], posterior: Float[np.ndarray, "N C"]
) -> Float[np.ndarray, "W C C"]:
    """How often each worker is thought to have said the one where the other was true."""
    classes = posterior.shape[1]
    counts = np.zeros((len(given.workers), classes, classes))
    np.add.at(counts, (given.worker, said), posterior[given.query])
    return counts


def _competence(model: Model, side: Float[np.ndarray, " C"]) -> Float[np.ndarray, " W"]:
    """P(better one chosen) where there is a better one; "equal" is half a choice."""
    strict = model.prior[:2] / model.prior[:2].sum()
    right = np.einsum("a,waz->wz", side, model.confusion)
    return np.clip(strict[0] * (1 - right[:, 0]) + strict[1] * right[:, 1], 0, 1)
