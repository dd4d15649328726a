"""How many episodes end before their time limit, where that is not counted to a fixed horizon."""

from rlhf_core.environments.factory import Environment
from rlhf_core.types import Metrics, Rollouts

EARLY_ENDS = "eval/first_early_ends"


def early_end_metrics(environment: Environment, rollouts: Rollouts) -> Metrics:
    """Return the share of finished episodes that ended before their time limit.

    Args:
        environment: that they were played in.
        rollouts: of the untrained policy.

    Returns:
        `eval/first_early_ends`, above 0; empty where no episode ended early, or where
        `environment.fixed_horizon` counts what comes after.
    """
    if environment.fixed_horizon is not None:
        return {}
    horizon = environment.horizon()
    ended = [one.terminated for one in rollouts.trajectories if one.finished(horizon)]
    return {EARLY_ENDS: sum(ended) / len(ended)} if any(ended) else {}


def early_end_warning(metrics: Metrics, horizon: int) -> str | None:
    """Return what early ends do to a learned reward, or None where there are none.

    Args:
        metrics: of the stages before the first round.
        horizon: largest number of steps of an episode.
    """
    share = metrics.get(EARLY_ENDS)
    if share is None:
        return None
    return (
        f"{share:.0%} of the first episodes ended before step {horizon}: a learned reward then "
        "makes long or short episodes better by its sign alone; "
        f"'environment.fixed_horizon: {horizon}' counts every episode to that step"
    )
