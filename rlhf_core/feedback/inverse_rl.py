"""Learning from demonstrations."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import numpy as np
from pydantic import PositiveFloat, PositiveInt

from rlhf_core.answers import Answers
from rlhf_core.cloning_settings import Cloning, CloningSettings, cloning_of
from rlhf_core.environments.factory import Environment
from rlhf_core.environments.spaces import Spaces
from rlhf_core.errors import ConfigurationError
from rlhf_core.feedback_forms.demonstration import Demonstration
from rlhf_core.feedback_strategy import FeedbackState, FeedbackStrategy, Imitation
from rlhf_core.inverse_rl.model import Discriminator, DiscriminatorState
from rlhf_core.inverse_rl.tables import TransitionTable, read_table
from rlhf_core.inverse_rl.tabular import RewardTable, TabularReward, fit_table
from rlhf_core.policies import Optimiser
from rlhf_core.questions import Request
from rlhf_core.reward_learning.evidence import gathered, total_asked
from rlhf_core.reward_learning.no_questions import reference_count
from rlhf_core.rewards import EnvironmentReward, Reward
from rlhf_core.rewards.constant import ConstantReward
from rlhf_core.rewards.model import Likelihoods
from rlhf_core.segments import sample_segments
from rlhf_core.sizes import TRAINED, input_features, parameters
from rlhf_core.types import Metrics, Rollouts


@dataclass(frozen=True, eq=False)
class InverseState(FeedbackState):
    """What a strategy that learns from demonstrations knows."""

    LEARNED: ClassVar[tuple[str, ...]] = ("discriminator", "reward_table")

    discriminator: DiscriminatorState | None = None
    """None before the first demonstration."""
    transitions: TransitionTable | None = None
    """Of the environment, for exact_maximum_entropy alone."""
    reward_table: RewardTable | None = None
    """None before the first demonstration."""


class InverseRL(FeedbackStrategy):
    """Ask for demonstrations of whole episodes and learn the reward, or the policy, behind them.

    gail, airl and maximum_entropy learn a reward that is refined at every rollout of the optimiser
    (`rlhf_core.inverse_rl.adversarial`); exact_maximum_entropy solves for a table of rewards, in
    environments that publish their transition table (`rlhf_core.inverse_rl.maximum_entropy`);
    behaviour_cloning makes the demonstrated actions likely and optimises nothing. A demonstrated
    episode counts as one label.
    """

    kind: Literal["inverse_rl"] = "inverse_rl"
    method: Literal[
        "gail", "airl", "maximum_entropy", "exact_maximum_entropy", "behaviour_cloning"
    ] = "gail"
    """What is learned from the demonstrations, and how."""
    demonstrations: PositiveInt = 20
    """Episodes to be demonstrated, as far as the budget of labels goes."""
    warm_start: bool = False
    """Let any method begin with a policy cloned from the demonstrations."""
    cloning: CloningSettings = CloningSettings()
    """How a policy is cloned, and when that stops."""
    discriminator: Discriminator = Discriminator()
    """The discriminator of gail, airl and maximum_entropy."""
    table_penalty: PositiveFloat = 0.1
    """Weight of the squared rewards in the objective of exact_maximum_entropy: it keeps rewards
    finite where demonstrations are few or never vary."""

    def initial(self) -> FeedbackState:
        """Return the state before the first demonstration."""
        return InverseState()

    def start(
        self, environment: Environment, earlier: FeedbackState | None = None
    ) -> FeedbackState:
        """Read the environment's transition table, for exact_maximum_entropy."""
        state = super().start(environment, earlier)
        if self.method != "exact_maximum_entropy":
            return state
        assert isinstance(state, InverseState)
        field = "feedback.method: 'exact_maximum_entropy'"
        return replace(state, transitions=read_table(environment, field))

    def memory(self, spaces: Spaces) -> Mapping[str, int]:
        """Return the bytes of the discriminator in training, and of one batch of it."""
        model = self.discriminator
        inputs = input_features(model.inputs, spaces)
        return {
            "discriminator.hidden": parameters([inputs, *model.hidden, 1]) * TRAINED,
            "discriminator.batch_size": 2 * 4 * model.batch_size * inputs,
        }

    def check_fit(self, labels: Sequence[int], steps: Sequence[int], horizon: int) -> None:
        """Refuse no demonstration in the first round."""
        if not labels[0]:
            raise ConfigurationError(
                f"budget.labels: expected at least 1 in the first round for feedback kind "
                f"'{self.kind}', which learns from demonstrations, actual: {labels[0]}"
            )

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
        """Ask for as many episodes as are due."""
        reference = sample_segments(rollouts, reference_count(1), 1, rng)
        no_clip = reference.take(np.empty(0, dtype=np.int64))
        # Those of an earlier run are not asked for again.
        known = 0 if state.demonstrations is None else len(state.demonstrations)
        due = max(min(labels, self.demonstrations - max(state.asked, known)), 0)
        if not due:
            return Request(no_clip, reference, {})
        form = Demonstration()
        rows = np.empty((due, form.size()), dtype=np.int64)
        queries = form.compose(rows, no_clip, Likelihoods(), rng)
        return Request(no_clip, reference, {form.kind: queries})

    def tell(
        self,
        state: FeedbackState,
        request: Request,
        answers: Answers,
        spaces: Spaces,
        rng: np.random.Generator,
    ) -> tuple[FeedbackState, Metrics]:
        """Store the demonstrations; initialise the discriminator, or fit the table of rewards."""
        assert isinstance(state, InverseState)
        if answers.count:
            state = replace(state, evidence=gathered(state.evidence, request, answers))
        state = replace(state, asked_by_form=total_asked(state.asked_by_form, request))
        demonstrations = state.demonstrations
        if demonstrations is None or self.method == "behaviour_cloning":
            return state, {}
        if self.method == "exact_maximum_entropy":
            if answers.count:
                assert state.transitions is not None, "start reads the table"
                table = fit_table(state.transitions, demonstrations, self.table_penalty)
                state = replace(state, reward_table=table)
        elif state.discriminator is None:
            from rlhf_core.inverse_rl.discriminator import initial_state

            steps = demonstrations.observed_transitions()
            fresh = initial_state(self.method, self.discriminator, spaces, steps, rng)
            state = replace(state, discriminator=fresh)
        return state, {}

    def reward(self, state: FeedbackState, spaces: Spaces) -> Reward:
        """Return the learned reward; it is 0 before the first demonstration."""
        if self.method == "behaviour_cloning":
            return EnvironmentReward()
        assert isinstance(state, InverseState)
        if self.method == "exact_maximum_entropy":
            table = state.reward_table
            return ConstantReward(0.0) if table is None else TabularReward(table)
        if state.demonstrations is None or state.discriminator is None:
            return ConstantReward(0.0)
        from rlhf_core.inverse_rl.adversarial import AdversarialReward

        steps = state.demonstrations.observed_transitions()
        return AdversarialReward(
            self.method, self.discriminator, spaces, steps, state.discriminator
        )

    def imitation(self) -> Imitation | None:
        """Demonstrations are asked for; rollouts teach the discriminator."""
        return Imitation(self.demonstrations, self._check_optimiser, self._cloning, self._observed)

    def _check_optimiser(self, optimiser: Optimiser) -> None:
        if self.method == "airl" and not optimiser.stochastic:
            raise ConfigurationError(
                f"feedback.method: airl needs the likelihood of actions, and the policies of "
                f"optimiser kind '{optimiser.kind}' have none; use gail or maximum_entropy"
            )

    def _cloning(self, state: FeedbackState, round: int) -> Cloning | None:
        only = self.method == "behaviour_cloning"
        assert isinstance(state, InverseState)
        # A run that goes on from another one has a policy that is more than a clone already.
        begun = state.discriminator is not None and state.discriminator.updates > 0
        first = self.warm_start and round == 0 and not begun
        if state.demonstrations is None or not (first or only):
            return None
        return cloning_of(state.demonstrations, self.cloning, only)

    def _observed(self, state: FeedbackState, reward: Reward) -> FeedbackState:
        from rlhf_core.inverse_rl.adversarial import AdversarialReward

        if not isinstance(reward, AdversarialReward):
            return state
        assert isinstance(state, InverseState)
        return replace(state, discriminator=reward.state)
