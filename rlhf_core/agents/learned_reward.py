"""A reward that an agent learned: called, saved and loaded by itself."""

from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from jaxtyping import Bool, Float, Shaped

from rlhf_core.environments.spaces import Spaces
from rlhf_core.errors import RunError, ShapeError
from rlhf_core.feedback_strategy import FeedbackState, FeedbackStrategy
from rlhf_core.packing import write_value
from rlhf_core.rewards import EnvironmentReward
from rlhf_core.rewards.saved import SavedReward


class LearnedReward:
    """A function of steps: how good the annotators would call them.

    Rewards are in the units of the strategy; preferences leave their scale and offset open.
    """

    def __init__(self, feedback: FeedbackStrategy, state: FeedbackState, spaces: Spaces) -> None:
        """A reward.

        Args:
            feedback: the strategy that learned it.
            state: what the strategy has learned.
            spaces: of the observations and actions.

        Raises:
            RunError: the strategy learns no reward.
        """
        self._feedback, self._state, self._spaces = feedback, state, spaces
        reward = feedback.reward(state, spaces)
        if isinstance(reward, EnvironmentReward):
            raise RunError(f"feedback kind '{feedback.kind}' learns no reward")
        self._reward = reward

    def __call__(
        self,
        observation: Shaped[np.ndarray, "B ..."],
        action: Shaped[np.ndarray, "B ..."],
        next_observation: Shaped[np.ndarray, "B ..."],
        terminated: Bool[np.ndarray, " B"] | None = None,
    ) -> Float[np.ndarray, " B"]:
        """Return the reward of each step.

        Args:
            observation: before the step.
            action: of the step.
            next_observation: after the step.
            terminated: whether the episode ended with it; None: none did.

        Raises:
            ShapeError: the arrays are not of the spaces that the reward was learned on.
        """
        spaces = self._spaces
        before = _fitting("observation", observation, spaces.observation)
        taken = _fitting("action", action, spaces.action)
        after = _fitting("next_observation", next_observation, spaces.observation)
        ended = np.zeros(len(before), dtype=bool) if terminated is None else terminated
        return self._reward(before, taken, after, np.asarray(ended, dtype=bool))

    def save(self, path: str | Path) -> None:
        """Write the reward, and the labels that it was learned from, to a safetensors file."""
        write_value(path, SavedReward.of(self._feedback, self._state, self._spaces))

    @staticmethod
    def load(path: str | Path) -> "LearnedReward":
        """Read a reward that `save` wrote. Raises `StoreError` where the file is none."""
        saved = SavedReward.read(path)
        feedback, spaces = saved.parts()
        return LearnedReward(feedback, saved.state, spaces)


def _fitting(name: str, values: np.ndarray, space: gymnasium.Space[Any]) -> np.ndarray:
    """Return a batch of a space. Raises `ShapeError` where it is none."""
    array, shape = np.asarray(values, dtype=space.dtype), space.shape or ()
    if array.ndim != 1 + len(shape) or array.shape[1:] != shape:
        expected = ", ".join(map(str, ("B", *shape)))
        raise ShapeError(f"{name}: expected shape ({expected}), actual: {array.shape}")
    return array
