"""What evidence says about a reward: log-likelihoods, batched over ensemble members."""

import torch
from jaxtyping import Float
from torch import Tensor


def bradley_terry(
    left: Float[Tensor, "M N"], right: Float[Tensor, "M N"], target: Float[Tensor, " N"]
) -> Float[Tensor, "M N"]:
    """Negative log-likelihood of preferences under the Bradley-Terry model.

        P(right preferred) = sigmoid(R(right) - R(left)),   R = sum of r over the segment
        loss = -target log P(right) - (1 - target) log P(left)

    A tie is a target of 1/2. From logits, so that large differences do not overflow
    (Christiano et al. 2017, https://arxiv.org/abs/1706.03741, section 2.2.3).

    Args:
        left: R(left), returns predicted by each member.
        right: R(right).
        target: P(right preferred) according to the annotators, in [0, 1].
    """
    return torch.nn.functional.binary_cross_entropy_with_logits(
        right - left, target.expand_as(left), reduction="none"
    )
