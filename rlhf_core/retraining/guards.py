"""What a challenger must not make worse, whatever its return."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
from pydantic import Field

from rlhf_core.guard import LEAST_ANSWERS
from rlhf_core.plugin import Config
from rlhf_core.retraining.answers import AnswerValues, answer_drift
from rlhf_core.retraining.drift import LARGE
from rlhf_core.retraining.trial import Trial
from rlhf_core.types import Metrics


@dataclass(frozen=True, eq=False)
class Candidate:
    """A policy before the gate."""

    trial: Trial
    """On the gate's start states."""
    metrics: Metrics = field(default_factory=dict)
    """Of the end of its run."""
    answers: AnswerValues = field(default_factory=dict)
    """What its annotators answered."""


class Guards(Config):
    """Limits on what a challenger may change; each is compared with the champion."""

    level: float = Field(0.01, gt=0, lt=0.5)
    """Of the test that the challenger's reward orders held-out answers less often than the
    champion's, and of the test that annotators answer otherwise."""
    largest_stability_index: float = Field(LARGE, gt=0)
    """Of the annotators' answers; a larger change that is significant refuses."""
    largest_length_ratio: float = Field(10.0, gt=1)
    """Between the mean episode lengths, either way."""
    largest_cost_ratio: float = Field(2.0, gt=0)
    """Price of the challenger's new labels over that of the champion's, where both cost anything.
    """

    def reasons(self, challenger: Candidate, champion: Candidate) -> list[str]:
        """Sentences that say what got worse; none where nothing did."""
        return [
            *self.label_reasons(challenger, champion),
            *self._length(challenger.trial, champion.trial),
            *self._cost(challenger.metrics, champion.metrics),
        ]

    def label_reasons(self, challenger: Candidate, champion: Candidate) -> list[str]:
        """Those of the sentences that are about the challenger's labels."""
        return [
            *self._accuracy(challenger.metrics, champion.metrics),
            *self._answers(challenger.answers, champion.answers),
        ]

    def _accuracy(self, challenger: Metrics, champion: Metrics) -> Iterator[str]:
        answers = [m.get("reward/heldout_answers", 0.0) for m in (challenger, champion)]
        if min(answers) < LEAST_ANSWERS:
            return
        agreeing = [m["reward/heldout_agreeing"] for m in (challenger, champion)]
        p = less_often(round(agreeing[0]), round(answers[0]), round(agreeing[1]), round(answers[1]))
        if p < self.level:
            shares = [a / n for a, n in zip(agreeing, answers, strict=True)]
            yield (
                f"its reward orders {shares[0]:.0%} of {answers[0]:.0f} held-out answers as they "
                f"do, the champion's {shares[1]:.0%} of {answers[1]:.0f} (p = {p:.2g})"
            )

    def _answers(self, challenger: AnswerValues, champion: AnswerValues) -> Iterator[str]:
        drift = answer_drift(champion, challenger)
        for name in drift.changed(self.level, self.largest_stability_index):
            place = drift.names.index(name)
            yield (
                f"answers in form '{name}' are distributed otherwise than the champion's: "
                f"stability index {drift.stability[place]:.2f} (expected at most "
                f"{self.largest_stability_index:g}), p = {drift.p[place]:.2g}"
            )

    def _length(self, challenger: Trial, champion: Trial) -> Iterator[str]:
        ours, theirs = (float(t.evaluation.lengths.mean()) for t in (challenger, champion))
        if max(ours, theirs) > self.largest_length_ratio * min(ours, theirs):
            yield (
                f"its episodes have {ours:.0f} steps, the champion's {theirs:.0f}: more than a "
                f"{self.largest_length_ratio:g}-fold change"
            )

    def _cost(self, challenger: Metrics, champion: Metrics) -> Iterator[str]:
        ours, theirs = (m.get("feedback/cost_total", 0.0) for m in (challenger, champion))
        if theirs > 0 and ours > self.largest_cost_ratio * theirs:
            yield (
                f"its labels cost {ours:g}, the champion's {theirs:g} (expected at most "
                f"{self.largest_cost_ratio:g} times as much)"
            )


def less_often(first: int, first_trials: int, second: int, second_trials: int) -> float:
    """One-sided p value of Fisher's exact test that the first share is not lower than the second.

        p = P(X <= k),  X hypergeometric: n of n + m trials, of which k + l succeeded

    Fisher 1922, https://doi.org/10.2307/2340521.

    Args:
        first: k, successes.
        first_trials: n.
        second: l, successes.
        second_trials: m.
    """
    from scipy.stats import hypergeom

    return float(hypergeom.cdf(first, first_trials + second_trials, first + second, first_trials))


def guard_metrics(challenger: Candidate, champion: Candidate) -> Mapping[str, float]:
    """The numbers that the guards compare, for the record."""
    drift = answer_drift(champion.answers, challenger.answers)
    metrics = {
        "drift/answers_stability_index": drift.largest,
        "drift/answers_p": drift.least_p,
        "gate/episode_length": float(challenger.trial.evaluation.lengths.mean()),
        "gate/champion_episode_length": float(champion.trial.evaluation.lengths.mean()),
    }
    return {name: value for name, value in metrics.items() if np.isfinite(value)}
