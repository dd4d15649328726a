"""Advantages and loss of group relative policy optimisation.

Shao et al. 2024, https://arxiv.org/abs/2402.03300, equations 3 and 4.
"""

import torch
from jaxtyping import Float
from torch import Tensor

SMALLEST_STD = 1e-4
"""Added to the standard deviation of a group, whose returns may all be equal."""


def group_advantages(returns: Float[Tensor, "groups G"]) -> Float[Tensor, "groups G"]:
    """Return A_i = (R_i - mean R) / (std R + 1e-4), mean and std over the group."""
    centred = returns - returns.mean(dim=1, keepdim=True)
    return centred / (returns.std(dim=1, keepdim=True) + SMALLEST_STD)


def grpo_loss(
    log_probs: Float[Tensor, "B L"],
    old_log_probs: Float[Tensor, "B L"],
    start_log_probs: Float[Tensor, "B L"],
    advantages: Float[Tensor, " B"],
    chosen: Float[Tensor, "B L"],
    clip_range: float,
    kl_coefficient: float,
) -> Tensor:
    """Compute the clipped loss with its penalty on the divergence from the start policy.

        rho_t = pi(a_t | s_t) / pi_old(a_t | s_t),   q_t = pi_start(a_t | s_t) / pi(a_t | s_t)
        L = -mean over texts of mean over t of
            min(rho_t A, clip(rho_t, 1 - eps, 1 + eps) A) - beta (q_t - log q_t - 1)

    Args:
        log_probs: of the tokens now.
        old_log_probs: when they were written.
        start_log_probs: under the start policy.
        advantages: of the texts.
        chosen: 1 for the tokens that the policy chose, else 0.
        clip_range: eps.
        kl_coefficient: beta.
    """
    ratio = (log_probs - old_log_probs).exp()
    weight = advantages[:, None]
    clipped = ratio.clamp(1 - clip_range, 1 + clip_range)
    gain = torch.minimum(ratio * weight, clipped * weight)
    log_q = start_log_probs - log_probs
    penalty = log_q.exp() - log_q - 1
    means = ((gain - kl_coefficient * penalty) * chosen).sum(dim=1) / chosen.sum(dim=1)
    return -means.mean()
