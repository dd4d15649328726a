"""A picture of a gate: paired differences, and the drift of observations."""

from io import BytesIO

import numpy as np

from rlhf_core.retraining.drift import LARGE, feature_drift
from rlhf_core.retraining.trial import Trial


def draw_gate(challenger: Trial, champion: Trial, recorded: Trial | None) -> bytes:
    """Draw the differences of returns by start state, and the stability index by feature, as PNG.

    Args:
        challenger: on the gate's start states.
        champion: on the same ones.
        recorded: the champion's trial when it was promoted; None: only the differences are drawn.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.5), layout="constrained")
    left, right = figure.subplots(1, 2)
    gaps = np.sort(challenger.evaluation.returns - champion.evaluation.returns)
    left.plot(np.arange(1, len(gaps) + 1), gaps)
    left.axhline(0, color="grey", linewidth=1)
    left.set(xlabel="start states, in order", ylabel="return, challenger less champion")
    if recorded is None:
        right.set_axis_off()
    else:
        drift = feature_drift(recorded.observations, champion.observations)
        right.bar(np.arange(len(drift.names)), drift.stability)
        right.axhline(LARGE, color="grey", linewidth=1, linestyle="--")
        right.set(xlabel="feature of the observation", ylabel="stability index, record to now")
    content = BytesIO()
    figure.savefig(content, format="png", dpi=100)
    return content.getvalue()
