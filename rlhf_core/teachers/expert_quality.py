"""How good an expert is: its metrics, and a warning where imitating it cannot work."""

import numpy as np

from rlhf_core.annotators import AnnotatorState
from rlhf_core.types import Metrics

TRUE_RETURN = "expert/true_return_mean"
FIRST_RETURN = "eval/first_return_iqm"
LEAST_SCORE = 0.5
"""Score below which an expert is called poor: 0 is the untrained policy, 1 the return at which the
environment counts as solved."""


def expert_metrics(state: AnnotatorState) -> Metrics:
    """Return what is known of an expert before the first question; empty where there is none.

    Args:
        state: the annotators before the first question.

    Returns:
        `expert/episodes`, `expert/steps`, and `expert/true_return_mean` where the episodes were
        played and not read from a recording.
    """
    lengths = state.arrays.get("demonstrations/lengths")
    if lengths is None or not len(lengths):
        return {}
    metrics = {"expert/episodes": float(len(lengths)), "expert/steps": float(lengths.sum())}
    returns = state.arrays.get("demonstrations/true_returns")
    if returns is not None:
        metrics[TRUE_RETURN] = float(np.mean(returns))
    return metrics


def describe_expert(metrics: Metrics) -> str | None:
    """Return one line about the expert, or None where its true return is not known.

    Args:
        metrics: of the stages before the first round.
    """
    if TRUE_RETURN not in metrics:
        return None
    line = (
        f"expert: mean true return {metrics[TRUE_RETURN]:.1f} over "
        f"{metrics['expert/episodes']:.0f} episodes ({metrics['expert/steps']:.0f} steps)"
    )
    first = metrics.get(FIRST_RETURN)
    return line if first is None else f"{line}; the untrained policy has {first:.1f}"


def expert_warning(metrics: Metrics, solved: float | None) -> str | None:
    """Return what is wrong with an expert, or None.

    Its score is (return - return of the untrained policy) / (solved - return of the untrained
    policy); without a return that counts as solved, only an expert that is no better than the
    untrained policy is named.

    Args:
        metrics: of the stages before the first round.
        solved: return at which the environment counts as solved; None: not known.
    """
    if TRUE_RETURN not in metrics or FIRST_RETURN not in metrics:
        return None
    expert, first = metrics[TRUE_RETURN], metrics[FIRST_RETURN]
    advice = "train it for more steps or by another optimiser, or record a better one"
    if expert <= first:
        return (
            f"the expert is no better than the untrained policy (mean true return {expert:.1f} "
            f"against {first:.1f}), so there is nothing to imitate; {advice}"
        )
    if solved is not None and solved > first and expert - first < LEAST_SCORE * (solved - first):
        return (
            f"the expert is poor (mean true return {expert:.1f}; the untrained policy has "
            f"{first:.1f}, and the environment counts as solved at {solved:g}), and its imitator "
            f"will be no better; {advice}"
        )
    return None
