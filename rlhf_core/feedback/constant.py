"""Null control: a reward that says nothing."""

from typing import ClassVar, Literal

import numpy as np

from rlhf_core.answers import Answers
from rlhf_core.environments.spaces import Spaces
from rlhf_core.feedback_strategy import FeedbackState
from rlhf_core.questions import Request
from rlhf_core.reward_learning.no_questions import NoQuestions
from rlhf_core.rewards import Reward
from rlhf_core.rewards.constant import ConstantReward
from rlhf_core.types import Metrics


class Constant(NoQuestions):
    """Null control: the same reward for every step.

    What a policy learns from it leaked through the ends of episodes.
    """

    null_control: ClassVar[bool] = True
    kind: Literal["constant"] = "constant"
    value: float = 1.0
    """The reward of every step."""

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
        """The constant."""
        return ConstantReward(self.value)
