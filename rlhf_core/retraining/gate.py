"""The gate: a challenger takes the champion's place where evidence says so, and not else.

    no champion                                          promoted
    the champion's re-evaluation differs from its record drifted
    not better with probability p, or a guard got worse  refused, with every reason
    else                                                 promoted

Two equal policies, 2,000 simulated first gates a row (`benchmarks/gate.py`): share of promotions in
per cent at p = 0.9 (nominal at most 5) and at p = 0.95 (2.5), and of gates called drifted (0.5):

    start states, returns   p = 0.9   p = 0.95   drifted
    40   normal                 3.7        1.6       0.2
    40   skewed                 4.3        1.9       0.3
    40   heavy                  4.0        1.7       0.3
    40   failing                1.2        0.1       0.4
    200  normal                 5.5        2.9       0.5
    200  skewed                 4.6        2.5       0.5
    200  heavy                  4.3        2.6       0.1
    200  failing                4.0        1.7       0.4
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from pydantic import Field

from rlhf_core.comparison.statistics.difference import independent_difference
from rlhf_core.plugin import Config
from rlhf_core.retraining.drift import Drift, feature_drift
from rlhf_core.retraining.guards import Candidate, Guards, guard_metrics
from rlhf_core.retraining.improvement import Improvement, paired_improvement
from rlhf_core.retraining.looks import level_of_look
from rlhf_core.retraining.trial import Trial


class Outcome(StrEnum):
    """How a gate ends. None of them is an error."""

    PROMOTED = "promoted"
    REFUSED = "refused"
    DRIFTED = "drifted"


@dataclass(frozen=True)
class Decision:
    """What a gate decided, and why."""

    outcome: Outcome
    reasons: tuple[str, ...]
    improvement: Improvement | None
    """None where there was no champion."""
    metrics: Mapping[str, float]
    """For the record: `gate/...` and `drift/...`."""
    trusts_labels: bool = True
    """Whether no guard has anything against the challenger's labels, which may be kept."""


class Gate(Config):
    """Rules by which a challenger is judged.

    With k the number of this look at the same champion, counted from 1, the challenger is better
    where the one-sided bootstrap of the paired IQM difference gives a probability of improvement
    of at least

        1 - (1 - p) / (k (k + 1))

    so that a champion which no challenger beats is dethroned with probability 1 - p at most, over
    any number of looks. The environment drifted where the champion's returns differ from those of
    its record (Yuen's test, `independent_difference`), or a feature of its observations does
    (Kolmogorov and Smirnov, stability index above the limit), each at half the drift level, spent
    in the same way.
    """

    probability: float = Field(0.9, gt=0.5, lt=1)
    """p, least probability of improvement."""
    episodes: int = Field(200, ge=20, le=100_000)
    """Start states on which both are played."""
    drift_level: float = Field(0.01, gt=0, lt=0.5)
    """Probability that drift is announced where there is none, over any number of looks."""
    guards: Guards = Guards()
    """What must not get worse."""

    def judge(
        self,
        challenger: Candidate,
        champion: Candidate | None,
        recorded: Trial | None,
        look: int,
        rng: np.random.Generator,
    ) -> Decision:
        """Decide.

        Args:
            challenger: the new policy.
            champion: the policy in use, played on the same start states; None: there is none.
            recorded: the champion's trial when it was promoted, on other start states; None where
                it was promoted by hand and never measured.
            look: number of this gate before the same champion, from 1.
            rng: draws the bootstrap.
        """
        if champion is None:
            return Decision(Outcome.PROMOTED, ("there was no champion",), None, {})
        returns = challenger.trial.evaluation.returns
        improvement = paired_improvement(returns, champion.trial.evaluation.returns, rng)
        needed = 1 - level_of_look(1 - self.probability, look)
        metrics = {
            "gate/difference": improvement.difference,
            "gate/difference_lower_bound": improvement.lower_bound(1 - needed),
            "gate/probability": improvement.probability,
            "gate/needed_probability": needed,
            "gate/better_starts": improvement.better_starts,
            "gate/true_return_iqm": challenger.trial.evaluation.iqm,
            "gate/champion_true_return_iqm": champion.trial.evaluation.iqm,
            "gate/look": float(look),
            **guard_metrics(challenger, champion),
        }
        trusted = not self.guards.label_reasons(challenger, champion)
        if recorded is not None:
            drift = observation_drift(recorded, champion.trial)
            metrics["gate/recorded_true_return_iqm"] = recorded.evaluation.iqm
            metrics["drift/observations_stability_index"] = drift.largest
            metrics["drift/observations_p"] = drift.least_p
            drifted = self._drifted(recorded, champion.trial, drift, look)
            if drifted:
                return Decision(Outcome.DRIFTED, tuple(drifted), improvement, metrics, trusted)
        reasons = []
        if improvement.probability < needed:
            reasons.append(
                f"its IQM differs from the champion's by {improvement.difference:.4g}, better with "
                f"probability {_shown(improvement.probability)} (expected at least {needed:.4g} at "
                f"look {look})"
            )
        reasons += self.guards.reasons(challenger, champion)
        if reasons:
            return Decision(Outcome.REFUSED, tuple(reasons), improvement, metrics, trusted)
        why = (
            f"its IQM is higher than the champion's by {improvement.difference:.4g}, better with "
            f"probability {_shown(improvement.probability)} (expected at least {needed:.4g} at "
            f"look {look})"
        )
        return Decision(Outcome.PROMOTED, (why,), improvement, metrics, trusted)

    def _drifted(self, recorded: Trial, now: Trial, drift: Drift, look: int) -> list[str]:
        level = level_of_look(self.drift_level / 2, look)
        reasons = []
        then, after = recorded.evaluation, now.evaluation
        change = independent_difference(after.returns, then.returns, 1 - level)
        if change.p < level:
            half = (change.interval.high - change.interval.low) / 2
            reasons.append(
                f"the champion returns {after.iqm:.4g} now, outside {then.iqm - half:.4g} to "
                f"{then.iqm + half:.4g}, which its record of {then.iqm:.4g} allows: the "
                "environment has changed"
            )
        features = drift.changed(level)
        if features:
            reasons.append(
                f"the champion observes other numbers than when it was recorded, in feature "
                f"{', '.join(features)} (stability index up to {drift.largest:.2f}): the "
                "environment has changed"
            )
        return reasons


def _shown(probability: float) -> str:
    """A probability that is never printed as certain."""
    if probability > 0.9999:
        return "above 0.9999"
    return "below 0.0001" if probability < 0.0001 else f"{probability:.4f}"


def observation_drift(recorded: Trial, now: Trial) -> Drift:
    """The change of what one policy observes, feature by feature."""
    return feature_drift(recorded.observations, now.observations)
