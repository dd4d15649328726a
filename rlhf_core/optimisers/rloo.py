"""REINFORCE with a leave-one-out baseline, for language models."""

from typing import TYPE_CHECKING, Literal

from rlhf_core.language.group_optimiser import GroupOptimiser

if TYPE_CHECKING:
    from rlhf_core.language.on_policy import GroupUpdate


class RLOO(GroupOptimiser):
    """RLOO (Ahmadian et al. 2024, https://arxiv.org/abs/2402.14740) for environments of texts.

        R_i = r_i - beta (log pi(text_i) - log pi_start(text_i))
        A_i = R_i - mean over j != i of R_j     over G completions of one prompt

    A whole text is one action, and the divergence from the start policy a part of its return.
    Needs the extra `language`.
    """

    kind: Literal["rloo"] = "rloo"

    def update(self) -> "GroupUpdate":
        """Return leave-one-out advantages and the loss of whole texts."""
        from torch import Tensor

        from rlhf_core.language.on_policy import Batch, GroupUpdate
        from rlhf_core.language.rloo import leave_one_out, reinforce_loss

        def advantages(returns: Tensor, log_ratios: Tensor) -> Tensor:
            return leave_one_out(returns, log_ratios, self.kl_coefficient)

        def loss(log_probs: Tensor, batch: Batch) -> Tensor:
            return reinforce_loss(log_probs, batch.log_probs, batch.advantages)

        return GroupUpdate(self.group_size, 1, self.batch_size, advantages, loss)
