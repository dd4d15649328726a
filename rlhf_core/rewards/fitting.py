"""Fitting the reward ensemble to preferences: all pairs and all members in one batch."""

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from rlhf_core.rewards.likelihoods import bradley_terry
from rlhf_core.rewards.model import RewardModel
from rlhf_core.rewards.network import RewardEnsemble, forward
from rlhf_core.evidence import Preferences
from rlhf_core.types import Metrics, Segments


def fit_preferences(
    ensemble: RewardEnsemble,
    model: RewardModel,
    segments: Segments,
    preferences: Preferences,
    rng: np.random.Generator,
) -> tuple[RewardEnsemble, Metrics]:
    """Maximise the Bradley-Terry likelihood, each member on its own part of the labels.

    Label i belongs to fold i mod `heldout_folds`, for ever. Member m never trains on fold
    m mod `heldout_folds`: that fold tells when to stop it and how well it predicts. So every
    label teaches most members, and held-out accuracy costs no label. A member keeps the weights
    of its best epoch.

    Args:
        ensemble: where to start from; the last round's, or a fresh one.
        model: hyper-parameters.
        segments: all segments that were ever compared.
        preferences: all labels so far.
        rng: minibatch order.

    Returns:
        The fitted ensemble and `reward/train_loss`, `reward/heldout_loss`,
        `reward/heldout_accuracy` (ties left out; NaN-free: absent with no held-out label),
        `reward/fit_epochs`.
    """
    features = torch.from_numpy(ensemble.segment_features(segments))
    mask = torch.from_numpy(np.array(segments.mask, dtype=np.float32))
    pair = torch.from_numpy(np.array(preferences.pair, dtype=np.int64))
    target = torch.from_numpy(np.array(preferences.target, dtype=np.float32))
    weight = torch.from_numpy(np.array(preferences.weight, dtype=np.float32))

    folds = model.heldout_folds
    fold = torch.arange(len(pair)) % folds
    held_out = fold == (torch.arange(model.members) % folds)[:, None]
    trained = (~held_out).float() * weight
    checked = held_out.float() * weight

    tensors = {
        name: torch.tensor(np.asarray(value), requires_grad=True)
        for name, value in ensemble.state.parameters.items()
    }
    optimiser = torch.optim.AdamW(
        tensors.values(), lr=model.learning_rate, weight_decay=model.weight_decay
    )

    def logits(index: Tensor) -> tuple[Tensor, Tensor]:
        """Predicted returns (M, N) of the left and the right segments of these pairs."""
        sides = pair[index].T.reshape(-1)
        flat = features[sides].reshape(-1, features.shape[-1])
        rewards = forward(tensors, flat).reshape(model.members, len(sides), -1)
        returns = (rewards * mask[sides]).sum(dim=2)
        return returns[:, : len(index)], returns[:, len(index) :]

    def losses(weights: Tensor) -> Tensor:
        """Mean loss (M,) over the labels that these weights (M, N) count."""
        loss = bradley_terry(*everything(), target) * weights
        return loss.sum(dim=1) / weights.sum(dim=1).clamp(min=1e-9)

    def everything() -> tuple[Tensor, Tensor]:
        return logits(torch.arange(len(pair)))

    # A member without held-out labels is judged on its own training labels.
    judged = torch.where(checked.sum(dim=1, keepdim=True) > 0, checked, trained)
    best = {name: tensor.detach().clone() for name, tensor in tensors.items()}
    with torch.no_grad():
        best_loss = losses(judged)
    waited = torch.zeros(model.members)
    epochs = 0
    while epochs < model.epochs and bool((waited < model.patience).any()):
        epochs += 1
        for chunk in np.array_split(
            rng.permutation(len(pair)), max(1, round(len(pair) / model.batch_size))
        ):
            index = torch.from_numpy(chunk)
            weights = trained[:, index]
            loss = bradley_terry(*logits(index), target[index]) * weights
            optimiser.zero_grad()
            (loss.sum(dim=1) / weights.sum(dim=1).clamp(min=1e-9)).sum().backward()
            optimiser.step()
        with torch.no_grad():
            now = losses(judged)
        better = (now < best_loss) & (waited < model.patience)
        best_loss = torch.where(better, now, best_loss)
        waited = torch.where(better, torch.zeros_like(waited), waited + 1)
        for name, tensor in tensors.items():
            best[name] = torch.where(better[:, None, None], tensor.detach(), best[name])

    for name, tensor in tensors.items():
        tensor.data.copy_(best[name])
    with torch.no_grad():
        metrics = {"reward/train_loss": float(losses(trained).mean())}
        metrics["reward/fit_epochs"] = float(epochs)
        left, right = everything()
        strict = checked * (target != 0.5)
        if bool(strict.sum() > 0):
            correct = ((right > left) == (target > 0.5)).float()
            accuracy = (correct * strict).sum() / strict.sum()
            metrics["reward/heldout_loss"] = float(losses(judged).mean())
            metrics["reward/heldout_accuracy"] = float(accuracy)
    state = replace(ensemble.state, parameters={n: t.numpy().copy() for n, t in best.items()})
    return replace(ensemble, state=state), metrics
