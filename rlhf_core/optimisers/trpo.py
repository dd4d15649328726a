"""Trust region policy optimisation through sb3-contrib."""

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, PositiveFloat, PositiveInt

from rlhf_core.environments.factory import Environment
from rlhf_core.environments.spaces import Spaces
from rlhf_core.stable_baselines.contrib import expect_contrib
from rlhf_core.stable_baselines.on_policy_optimiser import ActorCritic, whole_batches

if TYPE_CHECKING:
    from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm


class TRPO(ActorCritic):
    """TRPO (Schulman et al. 2015, https://arxiv.org/abs/1502.05477) by sb3-contrib.

    The policy moves along the natural gradient up to a divergence from the one before; the value
    function is fitted by Adam. Needs the extra `contrib`.
    """

    kind: Literal["trpo"] = "trpo"
    batch_size: int = Field(256, ge=2)
    """Transitions a gradient step of the value function."""
    value_epochs: PositiveInt = 10
    """Passes of the value function over a rollout."""
    max_kl: PositiveFloat = 0.01
    """Largest divergence from the policy before, for one rollout."""
    conjugate_steps: PositiveInt = 15
    """Largest number of steps of the conjugate gradient method."""
    damping: PositiveFloat = 0.1
    """Added to the diagonal of the Fisher matrix."""

    def check_spaces(self, spaces: Spaces) -> None:
        """Accept all spaces, if the package is installed."""
        expect_contrib(self.kind)

    def rollout_steps(self, environment: Environment) -> int:
        """Return the steps of all copies together, a multiple of the batch size."""
        return whole_batches(self, self.batch_size, environment)

    def _lstm_size(self) -> None:
        return None

    def _algorithm(self) -> "tuple[type[OnPolicyAlgorithm], dict[str, Any]]":
        expect_contrib(self.kind)
        from sb3_contrib import TRPO

        return TRPO, {
            "batch_size": self.batch_size,
            "n_critic_updates": self.value_epochs,
            "target_kl": self.max_kl,
            "cg_max_steps": self.conjugate_steps,
            "cg_damping": self.damping,
        }
