"""Fitting the reward ensemble to all evidence, and choosing the class that it is taken from."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from rlhf_core.rewards.mixture import Mixture
from rlhf_core.rewards.model import Family
from rlhf_core.rewards.network import RewardEnsemble
from rlhf_core.rewards.ridge import Ridge
from rlhf_core.rewards.terms import Term
from rlhf_core.rewards.training import Trainer
from rlhf_core.types import Metrics, Segments

FAMILIES: tuple[Family, ...] = ("linear", "squares", "network")
"""From the simplest; `reward/family` is the place in this order."""
FEW_ANSWERS = 20
"""With fewer held-out answers their likelihood cannot tell whether a network is better: `auto` then
takes a polynomial."""


def fit(
    ensemble: RewardEnsemble,
    segments: Segments,
    terms: Sequence[Term],
    unlabelled: Segments,
    rng: np.random.Generator,
) -> tuple[RewardEnsemble, Metrics]:
    """Maximise the likelihood of all labels, each member on its own part of them.

    Question i of each form belongs to fold i mod `heldout_folds`, for ever. Member m never trains
    on fold m mod `heldout_folds`: that fold tells when to stop it, which weight decay suits it and
    how well it predicts. So every label teaches most members, and held-out accuracy costs no
    label.

    Args:
        ensemble: where to start from; the last round's, or a fresh one.
        segments: all segments that were ever asked about.
        terms: all labels so far, with their likelihoods.
        unlabelled: what the policy does now, for pseudo-labels.
        rng: minibatch order, crops, pseudo-pairs.

    Returns:
        The fitted ensemble and `reward/train_loss`, `reward/heldout_loss`,
        `reward/heldout_accuracy` and `reward/calibration_error` (over ordered pairs; absent with
        none held out), `reward/fit_epochs` of networks, `reward/penalty` of polynomials,
        `reward/mistake_rate` of a robust fit or a bank, `reward/bank_largest_weight` and
        `reward/bank_parts` (exp of the weights' entropy) of a bank, and `reward/family` of the
        others, unless only networks may be fitted.
    """
    if not terms:
        return ensemble, {}
    family = ensemble.model.family
    if family == "bank":
        mixture = Mixture(ensemble, segments, terms, rng)
        return mixture.best(), mixture.metrics()
    if family == "network":
        trainer = Trainer(ensemble, segments, terms, unlabelled, rng)
        trainer.train()
        return trainer.best(), trainer.metrics()
    if family == "auto":
        return _chosen(ensemble, segments, terms, unlabelled, rng)
    ridge = Ridge(ensemble, segments, terms, 1 if family == "linear" else 2)
    return ridge.best(), {**ridge.metrics(), "reward/family": float(FAMILIES.index(family))}


def _chosen(
    ensemble: RewardEnsemble,
    segments: Segments,
    terms: Sequence[Term],
    unlabelled: Segments,
    rng: np.random.Generator,
) -> tuple[RewardEnsemble, Metrics]:
    """Fit linear, squares and network, and take the one with the least held-out loss."""
    state = ensemble.state
    network = state.candidates or state.parameters
    start = replace(ensemble, state=replace(state, parameters=network, candidates={}))
    trainer = Trainer(start, segments, terms, unlabelled, rng)
    trainer.train()
    fits: list[Ridge | Trainer] = [Ridge(ensemble, segments, terms, degree) for degree in (1, 2)]
    answers = sum(int((weight.sum(dim=0) > 0).sum()) for weight in trainer.heldout)
    if answers >= FEW_ANSWERS:
        fits.append(trainer)
    # The first of equals is the simplest.
    losses = [_heldout_loss(fitted) for fitted in fits]
    best = int(np.argmin(losses))
    chosen = fits[best].best()
    if fits[best] is not trainer:
        aside = trainer.best().state.parameters
        chosen = replace(chosen, state=replace(chosen.state, candidates=aside))
    return chosen, {**fits[best].metrics(), "reward/family": float(best)}


def _heldout_loss(fitted: Ridge | Trainer) -> float:
    """Mean loss over the answers that members were not trained on; 0 without any."""
    with torch.no_grad():
        count = torch.stack([weight.sum(dim=1) for weight in fitted.heldout]).sum(dim=0)
        loss = fitted.mean_loss(fitted.heldout)
    return float((loss * count).sum() / count.sum().clamp(min=1e-9))
