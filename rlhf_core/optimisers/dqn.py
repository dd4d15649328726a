"""Deep Q-learning through Stable-Baselines3."""

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field, PositiveFloat, PositiveInt

from rlhf_core.environments.spaces import Spaces
from rlhf_core.stable_baselines.off_policy_optimiser import OffPolicy, expect_actions

if TYPE_CHECKING:
    from rlhf_core.stable_baselines.off_policy_state import Algorithm


class DQN(OffPolicy):
    """DQN (Mnih et al. 2015, doi:10.1038/nature14236) by Stable-Baselines3.

    For Discrete actions. The learner never receives the environment's reward; the replay
    buffer is labelled anew whenever the learned reward has changed (Lee et al. 2021,
    https://arxiv.org/abs/2106.05091).
    """

    stochastic: ClassVar[bool] = False
    kind: Literal["dqn"] = "dqn"
    learning_rate: PositiveFloat = 2e-3
    """Adam's step size at the start."""
    train_every: PositiveInt = 4
    """Steps of each environment copy in one rollout, after which gradient steps are taken."""
    batch_size: int = Field(64, ge=2)
    """Transitions a gradient step."""
    target_interval: PositiveInt = 250
    """Environment steps between two updates of the target network."""
    target_rate: float = Field(1.0, gt=0, le=1)
    """Fraction by which it moves to the other network then."""
    exploration_initial: float = Field(1.0, ge=0, le=1)
    """Probability of a random action at the start of the run."""
    exploration_final: float = Field(0.05, ge=0, le=1)
    """Probability of a random action after the decay."""
    exploration_share: float = Field(0.2, gt=0, le=1)
    """Fraction of the run's steps over which it decays linearly."""
    max_gradient_norm: PositiveFloat = 10.0
    """Gradients are scaled down to this norm."""

    def check_spaces(self, spaces: Spaces) -> None:
        """Check that actions are Discrete."""
        expect_actions(self.kind, "Discrete", spaces)

    def _exploration(self, done: float) -> float:
        """Return the probability of a random action when this fraction of the run is done."""
        left = max(1 - done / self.exploration_share, 0.0)
        return self.exploration_final + left * (self.exploration_initial - self.exploration_final)

    def _algorithm(self) -> "Algorithm":
        from rlhf_core.stable_baselines.off_policy_state import Algorithm, SeparateDQN

        return Algorithm(
            SeparateDQN,
            {
                "target_update_interval": self.target_interval,
                "tau": self.target_rate,
                "max_grad_norm": self.max_gradient_norm,
            },
            exploration=self._exploration,
        )
