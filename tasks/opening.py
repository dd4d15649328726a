"""What a run says once its first episodes were played, before the first question."""

from rlhf_core.evaluation.early_ends import early_end_warning
from rlhf_core.experiment import Experiment
from rlhf_core.reward_learning.strategy import RewardLearning
from rlhf_core.teachers.expert_quality import TRUE_RETURN, describe_expert, expert_warning
from rlhf_core.types import Metrics


def poor_expert(experiment: Experiment, opening: Metrics) -> str | None:
    """Return what is wrong with the expert of a run, or None.

    Args:
        experiment: of the run.
        opening: metrics of the stages before its first round.
    """
    solved = experiment.environment.solved_at() if TRUE_RETURN in opening else None
    return expert_warning(opening, solved)


def early_ends(experiment: Experiment, opening: Metrics) -> str | None:
    """Return what early ends do to the learned reward of a run, or None.

    Args:
        experiment: of the run.
        opening: metrics of the stages before its first round.
    """
    feedback = experiment.feedback
    if feedback.needs_true_reward:
        return None
    if isinstance(feedback, RewardLearning) and not feedback.reward_model.centred:
        return None  # The sign of such a reward is learned.
    return early_end_warning(opening, experiment.environment.horizon())


def opening_notes(experiment: Experiment, opening: Metrics) -> list[str]:
    """Return the lines that stand at the start of a run; none where there is nothing to say.

    Args:
        experiment: of the run.
        opening: metrics of the stages before its first round.
    """
    warnings = (poor_expert(experiment, opening), early_ends(experiment, opening))
    lines = [describe_expert(opening)]
    lines += [f"warning: {warning}" for warning in warnings if warning is not None]
    return [line for line in lines if line is not None]
