"""Advantages and loss of REINFORCE with a leave-one-out baseline.

Ahmadian et al. 2024, https://arxiv.org/abs/2402.14740, section 3.2.
"""

from jaxtyping import Float
from torch import Tensor


def leave_one_out(
    returns: Float[Tensor, "groups G"],
    log_ratios: Float[Tensor, "groups G"],
    kl_coefficient: float,
) -> Float[Tensor, "groups G"]:
    """Compute the return of each text less the mean of the others in its group.

        R_i = r_i - beta (log pi(text_i) - log pi_start(text_i))
        A_i = R_i - mean over j != i of R_j

    Args:
        returns: r, of the texts.
        log_ratios: log pi - log pi_start of whole texts.
        kl_coefficient: beta.
    """
    penalised = returns - kl_coefficient * log_ratios
    size = returns.shape[1]
    return (penalised - penalised.mean(dim=1, keepdim=True)) * size / (size - 1)


def reinforce_loss(
    log_probs: Float[Tensor, "B L"],
    old_log_probs: Float[Tensor, "B L"],
    advantages: Float[Tensor, " B"],
) -> Tensor:
    """Compute the loss of whole texts as single actions.

        L = -mean over texts of A rho,   rho = pi(text) / pi_old(text)

    Its gradient is that of -A log pi(text) where the policy is the one that wrote the texts.

    Args:
        log_probs: of the tokens now, 0 where the policy chose none.
        old_log_probs: when they were written.
        advantages: of the texts.
    """
    ratio = (log_probs - old_log_probs).sum(dim=1).exp()
    return -(ratio * advantages).mean()
