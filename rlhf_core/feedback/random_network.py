"""Null control: a reward drawn at random."""

from dataclasses import replace
from typing import ClassVar, Literal

import numpy as np
from pydantic import field_validator

from rlhf_core.answers import Answers
from rlhf_core.environments.spaces import Spaces
from rlhf_core.feedback_strategy import FeedbackState
from rlhf_core.questions import Request
from rlhf_core.reward_learning.no_questions import NoQuestions
from rlhf_core.rewards import Reward
from rlhf_core.rewards.model import RewardModel
from rlhf_core.types import Metrics


class RandomNetwork(NoQuestions):
    """Null control: the reward network as it was initialised, never fitted."""

    null_control: ClassVar[bool] = True
    kind: Literal["random_network"] = "random_network"
    reward_model: RewardModel = RewardModel(members=1)
    """The network that is drawn."""

    @field_validator("reward_model")
    @classmethod
    def _is_drawn(cls, model: RewardModel) -> RewardModel:
        if model.family == "bank":
            raise ValueError("family: expected one that is drawn at random, actual: bank")
        return model

    def tell(
        self,
        state: FeedbackState,
        request: Request,
        answers: Answers,
        spaces: Spaces,
        rng: np.random.Generator,
    ) -> tuple[FeedbackState, Metrics]:
        """Draw the network once; afterwards only follow the policy with its scale."""
        from rlhf_core.rewards.network import restore

        ensemble = restore(state.ensemble, self.reward_model, spaces, request.reference, rng)
        return replace(state, ensemble=ensemble.normalised_on(request.reference).state), {}

    def reward(self, state: FeedbackState, spaces: Spaces) -> Reward:
        """The network's normalised output."""
        from rlhf_core.rewards.network import RewardEnsemble

        assert state.ensemble is not None, "reward() comes after tell()"
        return RewardEnsemble(state.ensemble, spaces, self.reward_model)
