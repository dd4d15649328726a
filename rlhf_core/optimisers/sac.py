"""Soft actor-critic through Stable-Baselines3."""

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field, PositiveFloat

from rlhf_core.environments.spaces import Spaces
from rlhf_core.stable_baselines.off_policy_optimiser import OffPolicy, expect_actions

if TYPE_CHECKING:
    from rlhf_core.stable_baselines.off_policy_state import Algorithm


class SAC(OffPolicy):
    """SAC (Haarnoja et al. 2018, https://arxiv.org/abs/1812.05905) by Stable-Baselines3.

    For continuous actions. The learner never receives the environment's reward; the replay
    buffer is labelled anew whenever the learned reward has changed (Lee et al. 2021,
    https://arxiv.org/abs/2106.05091).
    """

    stochastic: ClassVar[bool] = True
    kind: Literal["sac"] = "sac"
    target_rate: float = Field(0.005, gt=0, le=1)
    """Fraction by which target networks move to the critics at each gradient step."""
    temperature: PositiveFloat | None = None
    """Weight of the policy's entropy beside the reward; None: it is learned."""
    target_entropy: float | None = None
    """Entropy at which the learned temperature stays constant; None: minus the number of action
    dimensions."""

    def check_spaces(self, spaces: Spaces) -> None:
        """Check that actions are a Box."""
        expect_actions(self.kind, "Box", spaces)

    def _algorithm(self) -> "Algorithm":
        from rlhf_core.fused import FusedSAC
        from rlhf_core.stable_baselines.off_policy_state import Algorithm

        return Algorithm(
            FusedSAC,
            {
                "tau": self.target_rate,
                "ent_coef": self.temperature or "auto",
                "target_entropy": "auto" if self.target_entropy is None else self.target_entropy,
            },
        )
