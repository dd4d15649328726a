"""A learned reward together with the labelled pairs that it was fitted to."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Shaped

from rlhf_core.feedback_strategy import FeedbackState
from rlhf_core.labels import Preferences
from rlhf_core.rewards import Reward, RewardFunction
from rlhf_core.types import Segments


@dataclass(frozen=True)
class LabelledReward:
    """A reward for optimisers that learn from the labels themselves.

    As a function of transitions it is the fitted reward, which measures what the policy does.
    """

    reward: RewardFunction
    segments: Segments
    """All clips that were asked about."""
    preferences: Preferences
    """Labels on pairs of them, as the reward was fitted to them."""

    def __call__(
        self,
        observation: Shaped[np.ndarray, "B *obs"],
        action: Shaped[np.ndarray, "B *act"],
        next_observation: Shaped[np.ndarray, "B *obs"],
        terminated: Bool[np.ndarray, " B"],
    ) -> Float[np.ndarray, " B"]:
        """Return the fitted reward."""
        return self.reward(observation, action, next_observation, terminated)


def labelled_reward(reward: Reward, feedback: FeedbackState) -> Reward:
    """Return a reward with the labelled pairs that it was fitted to; without any, as it is.

    Args:
        reward: of a feedback strategy.
        feedback: its state.
    """
    labels = feedback.labels.get("comparison")
    if feedback.evidence is None or not isinstance(reward, RewardFunction):
        return reward
    if not isinstance(labels, Preferences):
        return reward
    return LabelledReward(reward, feedback.evidence.segments, labels)
