"""No stage hands on a reward or a policy whose numbers are not finite."""

from collections.abc import Callable

from rlhf_core.experiment import Experiment
from rlhf_core.feedback_strategy import FeedbackState
from rlhf_core.finite import check_arrays, check_metrics, check_value, diverging
from rlhf_core.policies import Optimised
from rlhf_core.types import Metrics

FIT_HINT = "a smaller learning rate of the reward may help"
OPTIMISE_HINT = "a smaller optimiser.learning_rate or optimiser.normalise_observations may help"


def checked_fit(
    experiment: Experiment, round: int, fit: Callable[[], tuple[FeedbackState, Metrics]]
) -> tuple[FeedbackState, Metrics]:
    """Fit a reward.

    Raises:
        DivergedError: a weight or a loss of it is not finite.
    """
    where = f"feedback: the reward that '{experiment.feedback.kind}' fitted in round {round + 1}"
    with diverging(where, FIT_HINT):
        fitted, metrics = fit()
    _check_learned(fitted, where)
    check_metrics(metrics, where, FIT_HINT)
    return fitted, metrics


def checked_optimisation(
    experiment: Experiment, round: int, optimise: Callable[[], tuple[Optimised, FeedbackState]]
) -> tuple[Optimised, FeedbackState]:
    """Improve a policy.

    Raises:
        DivergedError: a weight or a loss of it is not finite, or one of a reward that learned of
            its rollouts.
    """
    where = f"optimiser: the policy of '{experiment.optimiser.kind}' after round {round + 1}"
    with diverging(where, OPTIMISE_HINT):
        optimised, feedback = optimise()
    state = optimised.state
    check_arrays({**state.parameters, **state.optimizer_state}, where, OPTIMISE_HINT)
    check_metrics(optimised.metrics, where, OPTIMISE_HINT)
    _check_learned(feedback, f"feedback: the reward after round {round + 1}")
    return optimised, feedback


def _check_learned(feedback: FeedbackState, where: str) -> None:
    for name in feedback.LEARNED:
        check_value(getattr(feedback, name), where, FIT_HINT)
