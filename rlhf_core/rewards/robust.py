"""The share of wrong labels, estimated while a reward is fitted to them."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

START = 0.1
"""Share of wrong answers that is assumed at first."""
BOUNDS = (0.01, 0.45)
"""Least and largest share that is believed in."""
PRIOR_ANSWERS, PRIOR_WRONG = 10.0, 1.0
"""What the prior is worth: answers, and how many of them are wrong."""


def mistake_rate(
    mistake: Float[Tensor, ""],
    losses: Sequence[Tensor],
    mistaken: Sequence[Tensor],
    weights: Sequence[Tensor],
) -> Float[Tensor, ""]:
    """One step of expectation-maximisation for the share of wrong answers.

        P(wrong | answer) = sigmoid(log(e / (1 - e)) + loss - mistaken_loss)
        e <- (1 + sum of P(wrong)) / (10 + number of answers)

    Args:
        mistake: e, the share so far.
        losses: -log P(answer | model) of each term, (M, N).
        mistaken: -log P(answer | mistaken) of each term, (M, N).
        weights: how much each answer counts, (M, N); those that a member was not trained on.
    """
    wrong, count = torch.tensor(PRIOR_WRONG), torch.tensor(PRIOR_ANSWERS)
    for loss, other, weight in zip(losses, mistaken, weights, strict=True):
        odds = torch.log(mistake / (1 - mistake)) + loss - other
        wrong = wrong + (torch.sigmoid(odds) * weight).sum()
        count = count + weight.sum()
    return (wrong / count).clamp(*BOUNDS)
