"""What a challenger begins with: nothing, the champion's policy and reward, labels of a set."""

from dataclasses import replace

from rlhf_core import stages
from rlhf_core.errors import ConfigurationError
from rlhf_core.experiment import Experiment
from rlhf_core.feedback_strategy import FeedbackState
from rlhf_core.label_sets.versions import LabelSetVersion
from rlhf_core.policies import PolicyState
from rlhf_core.store import Store
from tasks.beginning import Beginning, policy_weights
from tasks.retraining.contenders import Contender


def beginning(
    experiment: Experiment,
    champion: Contender | None,
    warm: bool,
    labels: LabelSetVersion | None,
    store: Store,
) -> Beginning:
    """Put together what a challenger begins with.

    Warm, it has the champion's weights (its optimiser's state is new), reward and labels; with a
    label set, the labels of the set in place of the champion's.

    Args:
        experiment: of the challenger.
        champion: the policy in use.
        warm: take over from the champion; without one there is nothing to take over.
        labels: a label set to learn from.
        store: where the label set is.

    Raises:
        ConfigurationError: what is taken over does not fit the experiment.
    """
    policy: PolicyState | None = None
    feedback: FeedbackState | None = None
    if warm and champion is not None:
        policy = policy_weights(experiment, champion.player.policy)
        feedback = champion.feedback
    if labels is not None:
        if not experiment.feedback.asks:
            raise ConfigurationError(
                f"label set: expected a feedback strategy that learns from labels, actual: "
                f"'{experiment.feedback.kind}'"
            )
        known = experiment.feedback.initial() if feedback is None else feedback
        feedback = replace(known, evidence=labels.evidence(store), labels={})
    stages.initial_feedback(experiment, feedback)  # Refuses clips of another length.
    return Beginning(policy, feedback)
