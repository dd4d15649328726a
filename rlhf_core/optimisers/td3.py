"""Twin delayed deterministic policy gradients through Stable-Baselines3."""

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt

from rlhf_core.environments.spaces import Spaces
from rlhf_core.stable_baselines.off_policy_optimiser import OffPolicy, expect_actions

if TYPE_CHECKING:
    from rlhf_core.stable_baselines.off_policy_state import Algorithm


class TD3(OffPolicy):
    """TD3 (Fujimoto et al. 2018, https://arxiv.org/abs/1802.09477) by Stable-Baselines3.

    For continuous actions. The learner never receives the environment's reward; the replay
    buffer is labelled anew whenever the learned reward has changed (Lee et al. 2021,
    https://arxiv.org/abs/2106.05091).
    """

    stochastic: ClassVar[bool] = False
    kind: Literal["td3"] = "td3"
    target_rate: float = Field(0.005, gt=0, le=1)
    """Fraction by which target networks move to the others at each update of the actor."""
    exploration_deviation: NonNegativeFloat = 0.1
    """Standard deviation of the exploration noise on actions scaled to [-1, 1]."""
    updates_per_step: PositiveFloat = 1.0
    """Gradient steps for each environment step; the actor takes one in `policy_delay` of them."""
    policy_delay: PositiveInt = 2
    """Updates of the critics for each update of the actor."""
    target_deviation: NonNegativeFloat = 0.2
    """Standard deviation of the noise on the target policy's actions."""
    target_clip: NonNegativeFloat = 0.5
    """Bound that this noise is clipped to."""

    def check_spaces(self, spaces: Spaces) -> None:
        """Check that actions are a Box."""
        expect_actions(self.kind, "Box", spaces)

    def _algorithm(self) -> "Algorithm":
        from rlhf_core.fused import FusedTD3
        from rlhf_core.stable_baselines.off_policy_state import Algorithm

        return Algorithm(
            FusedTD3,
            {
                "tau": self.target_rate,
                "policy_delay": self.policy_delay,
                "target_policy_noise": self.target_deviation,
                "target_noise_clip": self.target_clip,
            },
            noise_std=self.exploration_deviation,
        )
