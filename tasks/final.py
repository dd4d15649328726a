"""How a run ended, as metrics of their own.

MLflow's tables and bars show the newest value of a metric, whatever its step; these have one.
"""

from rlhf_core.loop import Progress
from rlhf_core.store import Ref
from rlhf_core.types import Metrics


def final_metrics(last: Progress[Ref]) -> Metrics:
    """Return, labels, cost and steps at the end, and the best return on the way.

    `final/return_per_label` is (final return - return of the untrained policy) / labels. What
    is unknown, such as a return where the true reward is hidden, is left out.

    Args:
        last: where the run stands after its last round.
    """
    end = last.metrics
    final = {
        "final/labels": end["feedback/labels_total"],
        "final/cost": end["feedback/cost_total"],
        "final/env_steps": end["policy/steps"],
    }
    for name in ("true_return_iqm", "true_return_mean"):
        if f"eval/{name}" in end:
            final[f"final/{name}"] = end[f"eval/{name}"]
    returns = [m["eval/true_return_iqm"] for m in last.history if "eval/true_return_iqm" in m]
    if returns:
        final["best/true_return_iqm"] = max(returns)
    first, labels = last.opening.get("eval/first_return_iqm"), final["final/labels"]
    if first is not None and "final/true_return_iqm" in final and labels > 0:
        final["final/return_per_label"] = (final["final/true_return_iqm"] - first) / labels
    return final
