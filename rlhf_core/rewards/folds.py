"""Which labels a member of the ensemble trains on, and which are held out from it."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from rlhf_core.rewards.terms import Term


class Folds(NamedTuple):
    """Weights (M, N) of the observations of each term."""

    training: list[Float[Tensor, "M N"]]
    """Those that a member trains on."""
    heldout: list[Float[Tensor, "M N"]]
    """Those that it is never shown."""
    stopping: list[Float[Tensor, "M N"]]
    """Those that tell when a fit is good: held out, or those of training where none are."""


def split(terms: Sequence[Term], fold: Int[Tensor, " M"], folds: int) -> Folds:
    """Hold out the questions i of each term with i mod `folds` = `fold` from each member.

    Args:
        terms: the labels.
        fold: of each member, from 0.
        folds: how many there are.
    """
    out = [term.question % folds == fold[:, None] for term in terms]
    training = [(~o).float() * term.weight for o, term in zip(out, terms, strict=True)]
    heldout = [o.float() * term.weight for o, term in zip(out, terms, strict=True)]
    without = torch.stack([weight.sum(dim=1) for weight in heldout]).sum(dim=0) == 0
    stopping = [
        torch.where(without[:, None], trained, held_out)
        for held_out, trained in zip(heldout, training, strict=True)
    ]
    return Folds(training, heldout, stopping)
