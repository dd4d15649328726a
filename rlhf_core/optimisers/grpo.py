"""Group relative policy optimisation of language models."""

from typing import TYPE_CHECKING, Literal

from pydantic import Field, PositiveFloat, PositiveInt

from rlhf_core.language.group_optimiser import GroupOptimiser

if TYPE_CHECKING:
    from rlhf_core.language.on_policy import GroupUpdate


class GRPO(GroupOptimiser):
    """GRPO (Shao et al. 2024, https://arxiv.org/abs/2402.03300) for environments of texts.

        A_i = (R_i - mean R) / (std R + 1e-4)     over G completions of one prompt

    The advantage of a text is that of all its tokens. The ratio to the policy that wrote it is
    clipped, and the divergence from the start policy is a penalty of the loss. Needs the extra
    `language`.
    """

    kind: Literal["grpo"] = "grpo"
    epochs: PositiveInt = 1
    """Passes over a rollout."""
    clip_range: PositiveFloat = Field(0.2, lt=1)
    """eps, largest change of the probability ratio whose gradient is used."""
    kl_penalty: Literal["loss", "reward"] = "loss"
    """Where the divergence from the start policy counts. loss: added to the loss, as published; a
    token's gradient of it is at most beta, so a wrong reward can still pull the policy far away.
    reward: beta (log pi(text) - log pi_start(text)) is taken off the return, as in `rloo`."""

    def update(self) -> "GroupUpdate":
        """Return group-standardised advantages and the clipped loss."""
        from torch import Tensor

        from rlhf_core.language.grpo import group_advantages, grpo_loss
        from rlhf_core.language.on_policy import Batch, GroupUpdate

        def loss(log_probs: Tensor, batch: Batch) -> Tensor:
            return grpo_loss(
                log_probs, batch.log_probs, batch.start_log_probs, batch.advantages, batch.chosen,
                self.clip_range, self.kl_coefficient if self.kl_penalty == "loss" else 0.0,
            )  # fmt: skip

        def advantages(returns: Tensor, log_ratios: Tensor) -> Tensor:
            beta = self.kl_coefficient if self.kl_penalty == "reward" else 0.0
            return group_advantages(returns - beta * log_ratios)

        return GroupUpdate(self.group_size, self.epochs, self.batch_size, advantages, loss)
