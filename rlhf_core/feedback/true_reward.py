"""The control that feedback is measured against."""

from typing import ClassVar, Literal

import numpy as np

from rlhf_core.answers import Answers
from rlhf_core.environments.spaces import Spaces
from rlhf_core.feedback_strategy import FeedbackState
from rlhf_core.questions import Request
from rlhf_core.reward_learning.no_questions import NoQuestions
from rlhf_core.rewards import EnvironmentReward, Reward
from rlhf_core.types import Metrics


class TrueReward(NoQuestions):
    """Control: no feedback at all, ordinary reinforcement learning on the true reward."""

    needs_true_reward: ClassVar[bool] = True
    kind: Literal["true_reward"] = "true_reward"

    def tell(
        self,
        state: FeedbackState,
        request: Request,
        answers: Answers,
        spaces: Spaces,
        rng: np.random.Generator,
    ) -> tuple[FeedbackState, Metrics]:
        """Nothing to learn."""
        return state, {}

    def reward(self, state: FeedbackState, spaces: Spaces) -> Reward:
        """The environment's own reward."""
        return EnvironmentReward()
