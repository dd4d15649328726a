"""Advantage actor-critic through Stable-Baselines3."""

from typing import TYPE_CHECKING, Any, Literal

from pydantic import NonNegativeFloat, PositiveFloat, PositiveInt

from rlhf_core.environments.factory import Environment
from rlhf_core.environments.spaces import Spaces
from rlhf_core.stable_baselines.on_policy_optimiser import ActorCritic

if TYPE_CHECKING:
    from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm


class A2C(ActorCritic):
    """A2C (Mnih et al. 2016, https://arxiv.org/abs/1602.01783) by Stable-Baselines3.

    One gradient step by RMSprop on each short rollout.
    """

    kind: Literal["a2c"] = "a2c"
    steps: PositiveInt = 8
    """Steps of each environment copy in one rollout."""
    entropy_coefficient: NonNegativeFloat = 0.0
    """Weight of the entropy bonus."""
    value_coefficient: NonNegativeFloat = 0.5
    """Weight of the value loss."""
    max_gradient_norm: PositiveFloat = 0.5
    """Gradients are scaled down to this norm."""
    normalise_advantages: bool = True
    """Bring the advantages of a rollout to mean 0 and standard deviation 1."""

    def check_spaces(self, spaces: Spaces) -> None:
        """Accept all spaces."""

    def rollout_steps(self, environment: Environment) -> int:
        """Return the steps of all copies together, at least two if advantages are normalised."""
        rollout = self.steps * environment.count
        if self.normalise_advantages and rollout < 2:
            raise ValueError(
                f"optimiser.steps: expected at least 2 with one copy of the environment, whose "
                f"advantages are normalised, actual: {self.steps}"
            )
        return rollout

    def _lstm_size(self) -> None:
        return None

    def _algorithm(self) -> "tuple[type[OnPolicyAlgorithm], dict[str, Any]]":
        from stable_baselines3 import A2C

        return A2C, {
            "ent_coef": self.entropy_coefficient,
            "vf_coef": self.value_coefficient,
            "max_grad_norm": self.max_gradient_norm,
            "normalize_advantage": self.normalise_advantages,
        }
