"""A picture of a gate: paired differences, and the drift of observations and answers."""

from io import BytesIO

import numpy as np

from rlhf_core.retraining.answers import answer_drift
from rlhf_core.retraining.drift import LARGE, feature_drift
from rlhf_core.retraining.guards import Candidate
from rlhf_core.retraining.trial import Trial

MOST_NAMES = 12
"""Bars that are named; of more the numbers alone are drawn."""


def draw_gate(challenger: Candidate, champion: Candidate, recorded: Trial | None) -> bytes:
    """Draw the differences of returns by start state, and stability indices, as PNG.

    The indices are those of the champion's observations, feature by feature, from its record to
    now, and those of the annotators' answers, form by form, from the champion's run to the
    challenger's.

    Args:
        challenger: on the gate's start states.
        champion: on the same ones.
        recorded: the champion's trial when it was promoted; None: no observations are compared.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.5), layout="constrained")
    left, right = figure.subplots(1, 2)
    now = champion.trial
    gaps = np.sort(challenger.trial.evaluation.returns - now.evaluation.returns)
    left.plot(np.arange(1, len(gaps) + 1), gaps)
    left.axhline(0, color="grey", linewidth=1)
    left.set(xlabel="start states, in order", ylabel="return, challenger less champion")
    answers = answer_drift(champion.answers, challenger.answers)
    names, values = list(answers.names), list(answers.stability)
    if recorded is not None:
        drift = feature_drift(recorded.observations, now.observations)
        names = [*(f"obs {name}" for name in drift.names), *names]
        values = [*drift.stability, *values]
    right.bar(np.arange(len(values)), values)
    right.axhline(LARGE, color="grey", linewidth=1, linestyle="--")
    right.set(ylabel="population stability index")
    if len(names) <= MOST_NAMES:
        right.set_xticks(np.arange(len(names)), names, rotation=30)
    content = BytesIO()
    figure.savefig(content, format="png", dpi=100)
    return content.getvalue()
