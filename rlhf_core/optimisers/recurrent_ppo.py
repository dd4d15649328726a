"""Proximal policy optimisation of recurrent policies, through sb3-contrib."""

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt

from rlhf_core.environments.factory import Environment
from rlhf_core.environments.spaces import Spaces
from rlhf_core.stable_baselines.contrib import expect_contrib
from rlhf_core.stable_baselines.on_policy_optimiser import ActorCritic, whole_batches

if TYPE_CHECKING:
    from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm


class RecurrentPPO(ActorCritic):
    """PPO (Schulman et al. 2017, https://arxiv.org/abs/1707.06347) with an LSTM, by sb3-contrib.

    For partially observed tasks. Actor and critic each have an LSTM. A batch consists of whole
    sequences, so its size varies a little. Needs the extra `contrib`.
    """

    # An action's probability depends on the LSTM's state, which a transition does not contain.
    stochastic: ClassVar[bool] = False
    packages: ClassVar[tuple[str, ...]] = ("sb3-contrib",)
    kind: Literal["recurrent_ppo"] = "recurrent_ppo"
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
    lstm_size: PositiveInt = 64
    """Width of the actor's LSTM and of the critic's."""

    def check_spaces(self, spaces: Spaces) -> None:
        """Accept all spaces, if the package is installed."""
        expect_contrib(self.kind)

    def rollout_steps(self, environment: Environment) -> int:
        """Return the steps of all copies together, a multiple of the batch size."""
        return whole_batches(self, self.batch_size, environment)

    def _lstm_size(self) -> int:
        expect_contrib(self.kind)
        return self.lstm_size

    def _algorithm(self) -> "tuple[type[OnPolicyAlgorithm], dict[str, Any]]":
        from sb3_contrib import RecurrentPPO

        return RecurrentPPO, {
            "batch_size": self.batch_size,
            "n_epochs": self.epochs,
            "clip_range": self.clip_range,
            "ent_coef": self.entropy_coefficient,
            "vf_coef": self.value_coefficient,
            "max_grad_norm": self.max_gradient_norm,
            "target_kl": self.target_kl,
        }
