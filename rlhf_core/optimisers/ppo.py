"""Proximal policy optimisation through Stable-Baselines3."""

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt

from rlhf_core.environments.factory import Environment
from rlhf_core.environments.spaces import Spaces
from rlhf_core.stable_baselines.on_policy_optimiser import ActorCritic, whole_batches

if TYPE_CHECKING:
    from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm


class PPO(ActorCritic):
    """PPO (Schulman et al. 2017, https://arxiv.org/abs/1707.06347) by Stable-Baselines3.

    The learner never receives the environment's reward. A complete rollout is labelled with the
    given reward in one batch, truncated episodes are bootstrapped with the value of the final
    observation, and advantages are computed anew.
    """

    kind: Literal["ppo"] = "ppo"
    batch_size: int = Field(256, ge=2)
    """Transitions a gradient step."""
    epochs: PositiveInt = 10
    """Passes over a rollout."""
    clip_range: PositiveFloat = 0.2
    """Largest change of the probability ratio whose gradient is used."""
    entropy_coefficient: NonNegativeFloat = 0.0
    """Weight of the entropy bonus."""
    value_coefficient: NonNegativeFloat = 0.5
    """Weight of the value loss."""
    max_gradient_norm: PositiveFloat = 0.5
    """Gradients are scaled down to this norm."""
    target_kl: PositiveFloat | None = None
    """Divergence from the rollout's policy at which its epochs stop; None: they never do."""

    def check_spaces(self, spaces: Spaces) -> None:
        """Accept all spaces."""

    def rollout_steps(self, environment: Environment) -> int:
        """Return the steps of all copies together, a multiple of the batch size."""
        return whole_batches(self, self.batch_size, environment)

    def _lstm_size(self) -> None:
        return None

    def _algorithm(self) -> "tuple[type[OnPolicyAlgorithm], dict[str, Any]]":
        from rlhf_core.fused import FusedPPO

        return FusedPPO, {
            "batch_size": self.batch_size,
            "n_epochs": self.epochs,
            "clip_range": self.clip_range,
            "ent_coef": self.entropy_coefficient,
            "vf_coef": self.value_coefficient,
            "max_grad_norm": self.max_gradient_norm,
            "target_kl": self.target_kl,
        }
