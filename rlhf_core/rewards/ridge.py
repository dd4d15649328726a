"""Fits of polynomial rewards: few weights, a convex loss, no seed.

    minimise over w   sum over labels of -log P(label | scores D w)  +  penalty / 2 |w|^2

Scores are linear in the weights, since a reward is (`polynomial.py`), so with comparisons and
rankings there is one minimum. The penalty is the one with the best likelihood over all folds of
held-out labels (Hoerl and Kennard 1970, doi:10.1080/00401706.1970.10488634).
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from rlhf_core.rewards.accuracy import heldout_orders
from rlhf_core.rewards.folds import Folds, split
from rlhf_core.rewards.likelihoods import BOUNDS, contaminated
from rlhf_core.rewards.network import RewardEnsemble
from rlhf_core.rewards.polynomial import monomial_count, monomials
from rlhf_core.rewards.robust import START, mistake_rate
from rlhf_core.rewards.terms import Term
from rlhf_core.types import Metrics, Segments

PENALTIES = (10.0, 3.0, 1.0, 0.3, 0.1, 0.03, 0.01)
"""Candidates, the largest first: of equally good ones it is taken."""
STEPS = 100
"""Steps of L-BFGS at the most."""
MISTAKE_STEPS = 3
"""Fits of the weights in a robust fit, each followed by an estimate of the mistaken share."""
ROWS = 64
"""Clips whose monomials are computed at once, so that pixels fit into memory."""


class Ridge:
    """One fit of a polynomial: all folds with all penalties side by side, then the members'."""

    def __init__(
        self,
        ensemble: RewardEnsemble,
        segments: Segments,
        terms: Sequence[Term],
        degree: int,
    ) -> None:
        """Fits at once.

        Args:
            ensemble: the scales of its inputs and the settings.
            segments: all segments that were ever asked about.
            terms: all labels so far, with their likelihoods.
            degree: 1 for `linear`, 2 for `squares`.
        """
        self.ensemble, self.terms, self.degree = ensemble, terms, degree
        model = ensemble.model
        self.designs, self.scale = scaled_designs(ensemble, segments, terms, degree)
        folds = model.heldout_folds
        penalty = torch.tensor(PENALTIES).repeat_interleave(folds)
        split_all = split(terms, torch.arange(folds).repeat(len(PENALTIES)), folds)
        weights, heads, mistake = self._minimise(penalty, split_all)
        with torch.no_grad():
            loss, answers = self._sums(weights, heads, mistake, split_all.heldout)
            loss, answers = loss.reshape(-1, folds).sum(dim=1), answers[:folds].sum()
        best = int(loss.argmin()) if float(answers) > 0 else 0
        self.penalty = PENALTIES[best]
        fold = torch.arange(model.members) % folds
        rows = best * folds + fold
        self.weights = weights[rows]
        self.heads = {name: head[rows] for name, head in heads.items()}
        self.mistake = mistake
        self.training, self.heldout, self.stopping = split(terms, fold, folds)

    def _minimise(self, penalty: Tensor, folds: Folds) -> tuple[Tensor, dict[str, Tensor], Tensor]:
        """Weights (M, P), heads and the share of wrong answers.

        Args:
            penalty: (M,) of each fit.
            folds: what each trains on, and what the share of wrong answers is estimated from.
        """
        copies = len(penalty)
        weights = torch.zeros(copies, self.designs[0].shape[-1], requires_grad=True)
        heads: dict[str, Tensor] = {}
        for term in self.terms:
            for name, fresh in term.heads(copies).items():
                heads[name] = fresh.clone().requires_grad_()
        mistake = torch.tensor(START)
        robust = self.ensemble.model.robust

        def objective() -> Tensor:
            # Fits share no weight, so that the minimum of the sum is that of each.
            loss, _ = self._sums(weights, _bounded(heads), mistake, folds.training)
            total = loss.sum() + (penalty[:, None] * weights.square()).sum() / 2
            weights.grad = None
            for head in heads.values():
                head.grad = None
            total.backward()
            return total

        for _ in range(MISTAKE_STEPS if robust else 1):
            optimiser = torch.optim.LBFGS(
                [weights, *heads.values()],
                max_iter=STEPS,
                history_size=20,
                tolerance_grad=1e-4,
                tolerance_change=1e-7,
                line_search_fn="strong_wolfe",
            )
            optimiser.step(objective)
            if robust:
                with torch.no_grad():
                    losses, mistaken = self._both_losses(weights, _bounded(heads))
                    mistake = mistake_rate(mistake, losses, mistaken, folds.stopping)
        fitted = {name: head.detach() for name, head in _bounded(heads).items()}
        return weights.detach(), fitted, mistake

    def _scores(self, weights: Tensor) -> list[Float[Tensor, "M N K"]]:
        return [torch.einsum("nkp,mp->mnk", design, weights) for design in self.designs]

    def _both_losses(
        self, weights: Tensor, heads: dict[str, Tensor]
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Losses (M, N) of the labels, and of the labels if they were mistakes."""
        losses, mistaken = [], []
        for term, scores in zip(self.terms, self._scores(weights), strict=True):
            index = torch.arange(len(term.items))
            losses.append(term.loss(scores, index, heads))
            if self.ensemble.model.robust:
                mistaken.append(term.mistaken_loss(losses[-1], scores, index, heads))
        return losses, mistaken

    def _losses(self, weights: Tensor, heads: dict[str, Tensor], mistake: Tensor) -> list[Tensor]:
        """Loss (M, N) of each term, mistakes allowed for in a robust fit."""
        losses, mistaken = self._both_losses(weights, heads)
        if not mistaken:
            return losses
        share = mistake.expand(len(weights), 1)
        return [contaminated(a, b, share) for a, b in zip(losses, mistaken, strict=True)]

    def _sums(
        self,
        weights: Tensor,
        heads: dict[str, Tensor],
        mistake: Tensor,
        counted: Sequence[Tensor],
    ) -> tuple[Tensor, Tensor]:
        """Loss (M,) summed over what these weights (M, N) count, and how much they count."""
        losses = self._losses(weights, heads, mistake)
        total = [(loss * weight).sum(dim=1) for loss, weight in zip(losses, counted, strict=True)]
        count = [weight.sum(dim=1) for weight in counted]
        return torch.stack(total).sum(dim=0), torch.stack(count).sum(dim=0)

    def mean_loss(self, counted: Sequence[Tensor]) -> Tensor:
        """Mean loss (M,) of the members over what these weights (M, N) count."""
        total, count = self._sums(self.weights, self.heads, self.mistake, counted)
        return total / count.clamp(min=1e-9)

    def best(self) -> RewardEnsemble:
        """The fitted ensemble."""
        state = replace(
            self.ensemble.state,
            parameters={"polynomial": (self.weights / self.scale).numpy().copy()},
            heads={name: head.numpy().copy() for name, head in self.heads.items()},
        )
        return replace(self.ensemble, state=state)

    def metrics(self) -> Metrics:
        """How well the members explain labels, those of training and those held out."""
        metrics = {
            "reward/train_loss": float(self.mean_loss(self.training).mean()),
            "reward/penalty": self.penalty,
        }
        if self.ensemble.model.robust:
            metrics["reward/mistake_rate"] = float(self.mistake)
        orders = heldout_orders(self.terms, self._scores(self.weights), self.heldout)
        if orders:
            metrics["reward/heldout_loss"] = float(self.mean_loss(self.stopping).mean())
        return {**metrics, **orders}


def _bounded(heads: dict[str, Tensor]) -> dict[str, Tensor]:
    """The likelihoods' own parameters, those with bounds within them."""
    bounded = dict(heads)
    for name, head in heads.items():
        bounds = BOUNDS.get(name.rpartition(".")[2])
        if bounds is not None:
            bounded[name] = head.clamp(*bounds)
    return bounded


def scaled_designs(
    ensemble: RewardEnsemble, segments: Segments, terms: Sequence[Term], degree: int
) -> tuple[list[Float[Tensor, "N K P"]], float]:
    """Monomials of each segment of each observation, summed over its steps, and what divides them.

    One scale is for all inputs, which are standardised: penalties then mean the same in clips of
    any length.

    Args:
        ensemble: the scales of its inputs.
        segments: all segments that were ever asked about.
        terms: all labels so far.
        degree: of the polynomial, 1 or 2.
    """
    features = torch.from_numpy(ensemble.segment_features(segments))
    mask = torch.from_numpy(np.array(segments.mask, dtype=np.float32))
    count = monomial_count(features.shape[-1], degree)
    designs = [_design(term, features, mask, count) for term in terms]
    # The first column counts steps.
    inputs = torch.cat([design[..., 1:].flatten(0, 1) for design in designs])
    scale = float(inputs.std(dim=0, correction=0).square().mean().sqrt()) or 1.0
    return [design / scale for design in designs], scale


def _design(term: Term, features: Tensor, mask: Tensor, count: int) -> Float[Tensor, "N K P"]:
    """Monomials of each segment of each observation, summed up over its steps by their credit."""
    weight = mask[term.items]
    if term.credit is not None:
        weight = weight * term.credit[:, None]
    items, weight = term.items.flatten(), weight.flatten(0, 1)
    sums = []
    for rows, steps in zip(items.split(ROWS), weight.split(ROWS), strict=True):
        clips = features[rows]
        made = monomials(clips.flatten(0, 1), count).reshape(*clips.shape[:2], -1)
        sums.append(torch.einsum("nl,nlp->np", steps, made))
    return torch.cat(sums).reshape(*term.items.shape, -1)
