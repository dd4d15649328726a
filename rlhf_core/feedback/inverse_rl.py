"""Learning from demonstrations."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import numpy as np
from pydantic import PositiveInt

from rlhf_core.demonstrations import Cloning
from rlhf_core.environments.spaces import Spaces
from rlhf_core.errors import ConfigurationError
from rlhf_core.evidence import Answers, Request
from rlhf_core.feedback_strategy import FeedbackState, FeedbackStrategy
from rlhf_core.inverse_rl.model import Discriminator, DiscriminatorState
from rlhf_core.policies import Optimiser
from rlhf_core.reward_learning.no_questions import ask_nothing, reference_count
from rlhf_core.rewards import EnvironmentReward, Reward
from rlhf_core.rewards.constant import ConstantReward
from rlhf_core.segments import sample_segments
from rlhf_core.types import Metrics, Rollouts


@dataclass(frozen=True, eq=False)
class InverseState(FeedbackState):
    """What a strategy that learns from demonstrations knows."""

    LEARNED: ClassVar[tuple[str, ...]] = ("discriminator",)

    discriminator: DiscriminatorState | None = None
    """None before the first demonstration."""


class InverseRL(FeedbackStrategy):
    """Asks to be shown whole episodes and learns the reward, or the policy, behind them.

    gail, airl and maximum_entropy learn a reward that is refined at every rollout of the optimiser
    (`rlhf_core.inverse_rl.adversarial`); behaviour_cloning makes the demonstrated actions likely
    and optimises nothing. A demonstrated episode counts as one label.
    """

    kind: Literal["inverse_rl"] = "inverse_rl"
    method: Literal["gail", "airl", "maximum_entropy", "behaviour_cloning"] = "gail"
    """How."""
    demonstrations: PositiveInt = 20
    """Episodes to be shown, as far as the budget of labels goes."""
    warm_start: bool = False
    """Let any method begin with a policy cloned from the demonstrations."""
    cloning_epochs: PositiveInt = 10
    """Passes over the demonstrations when a policy is cloned."""
    discriminator: Discriminator = Discriminator()
    """What tells demonstrations from rollouts."""

    def initial(self) -> FeedbackState:
        """Nothing shown yet."""
        return InverseState()

    def check_fit(self, labels: Sequence[int], steps: Sequence[int], horizon: int) -> None:
        """Refuse no demonstration in the first round."""
        if not labels[0]:
            raise ConfigurationError(
                f"budget.labels: expected at least 1 in the first round for feedback kind "
                f"'{self.kind}', which learns from demonstrations, actual: {labels[0]}"
            )

    def check_optimiser(self, optimiser: Optimiser) -> None:
        """airl asks how likely actions are."""
        if self.method == "airl" and not optimiser.stochastic:
            raise ConfigurationError(
                f"feedback.method: airl needs the likelihood of actions, and the policies of "
                f"optimiser kind '{optimiser.kind}' have none; use gail or maximum_entropy"
            )

    def demonstrations_wanted(self) -> int:
        """As set."""
        return self.demonstrations

    def smallest_question(self) -> int:
        """One demonstration."""
        return 1

    def ask(
        self,
        state: FeedbackState,
        rollouts: Rollouts,
        labels: int,
        spaces: Spaces,
        rng: np.random.Generator,
    ) -> Request:
        """To be shown as many episodes as are due."""
        reference = sample_segments(rollouts, reference_count(1), 1, rng)
        due = min(labels, self.demonstrations - state.asked)
        return replace(ask_nothing(reference), demonstrations=max(due, 0))

    def tell(
        self,
        state: FeedbackState,
        request: Request,
        answers: Answers,
        spaces: Spaces,
        rng: np.random.Generator,
    ) -> tuple[FeedbackState, Metrics]:
        """Keep the demonstrations; with the first ones the discriminator begins."""
        assert isinstance(state, InverseState)
        shown = answers.demonstrations
        if shown is not None and len(shown):
            known = state.demonstrations
            together = shown if known is None else known.joined(shown)
            state = replace(state, demonstrations=together)
        state = replace(state, asked=state.asked + request.demonstrations)
        metrics: dict[str, float] = {}
        if state.demonstrations is not None and self.method != "behaviour_cloning":
            from rlhf_core.inverse_rl.adversarial import initial

            if state.discriminator is None:
                steps = state.demonstrations.transitions()
                fresh = initial(self.method, self.discriminator, spaces, steps, rng)
                state = replace(state, discriminator=fresh.state)
        return state, metrics

    def reward(self, state: FeedbackState, spaces: Spaces) -> Reward:
        """The discriminator's; nothing is worth anything before something was shown."""
        from rlhf_core.inverse_rl.adversarial import AdversarialReward

        if self.method == "behaviour_cloning":
            return EnvironmentReward()
        assert isinstance(state, InverseState)
        if state.demonstrations is None or state.discriminator is None:
            return ConstantReward(0.0)
        steps = state.demonstrations.transitions()
        return AdversarialReward(
            self.method, self.discriminator, spaces, steps, state.discriminator
        )

    def cloning(self, state: FeedbackState, round: int) -> Cloning | None:
        """What a policy is to be cloned from before this round."""
        first = self.warm_start and round == 0
        if state.demonstrations is None or not (first or self.method == "behaviour_cloning"):
            return None
        only = self.method == "behaviour_cloning"
        return Cloning(state.demonstrations.transitions(), self.cloning_epochs, only)

    def observed(self, state: FeedbackState, reward: Reward) -> FeedbackState:
        """With what the discriminator learned from rollouts."""
        from rlhf_core.inverse_rl.adversarial import AdversarialReward

        if not isinstance(reward, AdversarialReward):
            return state
        assert isinstance(state, InverseState)
        return replace(state, discriminator=reward.state)
