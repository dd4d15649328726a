"""Training of reward networks on all evidence: every term and every member in one batch."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from rlhf_core.rewards.accuracy import credited_sums, heldout_orders
from rlhf_core.rewards.augmentation import PseudoLabels, random_windows
from rlhf_core.rewards.folds import split
from rlhf_core.rewards.likelihoods import BOUNDS, contaminated
from rlhf_core.rewards.network import RewardEnsemble, forward
from rlhf_core.rewards.perceptrons import Buffers, Layout, perceptrons
from rlhf_core.rewards.robust import START, mistake_rate
from rlhf_core.rewards.terms import Term
from rlhf_core.types import Metrics, Segments

HEADS_SPEED = 10.0
"""Step size of the likelihoods' own parameters, relative to the network's."""


class Trainer:
    """One fit. Copies of the ensemble, one a weight decay, train side by side as more members.

    A member keeps the weights of its best epoch.
    """

    def __init__(
        self,
        ensemble: RewardEnsemble,
        segments: Segments,
        terms: Sequence[Term],
        unlabelled: Segments,
        rng: np.random.Generator,
    ) -> None:
        model = ensemble.model
        self.ensemble, self.model, self.terms, self.rng = ensemble, model, terms, rng
        decays = model.weight_decay
        self.decays = decays if isinstance(decays, tuple) else (decays,)
        self.count = model.members * len(self.decays)
        self.decay = torch.tensor(self.decays).repeat_interleave(model.members)[:, None]
        self.features = torch.from_numpy(ensemble.segment_features(segments))
        self.mask = torch.from_numpy(np.array(segments.mask, dtype=np.float32))
        self.pseudo_labels: PseudoLabels | None = None
        if model.pseudo_labels:
            features = ensemble.segment_features(unlabelled)
            self.pseudo_labels = PseudoLabels(features, unlabelled, model.pseudo_confidence)

        fold = torch.arange(self.count) % model.members % model.heldout_folds
        self.training, self.heldout, self.stopping = split(terms, fold, model.heldout_folds)

        state = ensemble.state
        self.layout, self.buffers = Layout(state.parameters), Buffers()
        self.parameters = self._copies(self.layout.pack(state.parameters).numpy())
        self.heads: dict[str, Tensor] = {}
        for term in terms:
            for name, fresh in term.heads(self.count).items():
                before = state.heads.get(name)
                if before is None or before.shape[1:] != fresh.shape[1:]:
                    self.heads[name] = fresh.clone().requires_grad_()
                else:
                    self.heads[name] = self._copies(np.asarray(before))
        self.mistake = torch.tensor(START)
        self.epochs = 0

    def _copies(self, array: np.ndarray) -> Tensor:
        """Parameters (M, ...), once for each weight decay."""
        return torch.tensor(np.concatenate([array] * len(self.decays)), requires_grad=True)

    def scores(self, items: Tensor, credit: Tensor | None, crop: bool = False) -> Tensor:
        """Scores (M, n, K) of segments at positions (n, K)."""
        features, mask = self.features[items], self.mask[items]
        if crop:
            mask = mask * random_windows(mask, self.model.temporal_crop, self.rng)
        return credited_sums(self._rewards(features) * mask, credit)

    def _rewards(self, features: Tensor) -> Tensor:
        """Rewards (M, ...) of features (..., features)."""
        flat = features.reshape(-1, features.shape[-1])
        if self.ensemble.picture is None:
            rewards = perceptrons(self.parameters, flat, self.layout, self.buffers)
        else:
            parameters = self.layout.unpack(self.parameters)
            rewards = forward(parameters, flat, self.ensemble.picture)
        return rewards.reshape(self.count, *features.shape[:-1])

    def losses(self, term: Term, scores: Tensor, index: Tensor) -> Tensor:
        """Loss (M, n) of observations, mistakes allowed for in a robust fit."""
        loss = term.loss(scores, index, self.heads)
        if self.model.robust:
            mistaken = term.mistaken_loss(loss, scores, index, self.heads)
            loss = contaminated(loss, mistaken, self.mistake.expand(self.count, 1))
        return loss

    def mean_loss(self, weights: Sequence[Tensor]) -> Tensor:
        """Mean loss (M,) over everything that these weights (M, N) count."""
        total, count = torch.zeros(self.count), torch.zeros(self.count)
        for term, weight in zip(self.terms, weights, strict=True):
            index = torch.nonzero(weight.sum(dim=0))[:, 0]
            credit = None if term.credit is None else term.credit[index]
            loss = self.losses(term, self.scores(term.items[index], credit), index)
            weight = weight[:, index]
            total += (loss * weight).sum(dim=1)
            count += weight.sum(dim=1)
        return total / count.clamp(min=1e-9)

    def train(self) -> None:
        """Epochs until every member has waited long enough for a better held-out loss."""
        model = self.model
        groups = [{"params": [self.parameters], "lr": model.learning_rate}]
        if self.heads:
            speed = model.learning_rate * HEADS_SPEED
            groups.append({"params": list(self.heads.values()), "lr": speed})
        optimiser = torch.optim.Adam(groups)
        observations = sum(len(term.items) for term in self.terms)
        batches = max(1, round(observations / model.batch_size))
        everything = {"network": self.parameters, **self.heads}
        best = {name: tensor.detach().clone() for name, tensor in everything.items()}
        with torch.no_grad():
            self._estimate_mistakes()
            best_loss = self.mean_loss(self.stopping)
        waited = torch.zeros(self.count)
        while self.epochs < model.epochs and bool((waited < model.patience).any()):
            self.epochs += 1
            self._epoch(optimiser, batches)
            with torch.no_grad():
                self._estimate_mistakes()
                loss = self.mean_loss(self.stopping)
            improved = (loss < best_loss) & (waited < model.patience)
            best_loss = torch.where(improved, loss, best_loss)
            waited = torch.where(improved, torch.zeros_like(waited), waited + 1)
            for name, tensor in everything.items():
                choice = improved.reshape(-1, *[1] * (tensor.ndim - 1))
                best[name] = torch.where(choice, tensor.detach(), best[name])
        for name, tensor in everything.items():
            tensor.data.copy_(best[name])
        self._choose_decay(best_loss)

    def _epoch(self, optimiser: torch.optim.Optimizer, batches: int) -> None:
        """One pass over all labels, every term in as many minibatches."""
        orders = [
            np.array_split(self.rng.permutation(len(term.items)), batches) for term in self.terms
        ]
        for parts in zip(*orders, strict=True):
            if not any(len(part) for part in parts):
                continue
            optimiser.zero_grad()
            self._batch_loss([torch.from_numpy(part) for part in parts]).sum().backward()
            optimiser.step()
            with torch.no_grad():
                for name, head in self.heads.items():
                    bounds = BOUNDS.get(name.rpartition(".")[2])
                    if bounds is not None:
                        head.clamp_(*bounds)
                self.parameters.mul_(1 - self.model.learning_rate * self.decay)

    def _batch_loss(self, parts: Sequence[Tensor]) -> Tensor:
        """Mean loss (M,) over the labels of one minibatch, pseudo-labels included."""
        total, count = torch.zeros(self.count), torch.zeros(self.count)
        crop = self.model.temporal_crop < 1
        for term, training, index in zip(self.terms, self.training, parts, strict=True):
            if not len(index):
                continue
            credit = None if term.credit is None else term.credit[index]
            # A rating of a moment loses its meaning when its steps are cut away.
            scores = self.scores(term.items[index], credit, crop and term.credit is None)
            weight = training[:, index]
            total = total + (self.losses(term, scores, index) * weight).sum(dim=1)
            count = count + weight.sum(dim=1)
        if self.pseudo_labels is not None:
            wanted = max(1, round(self.model.pseudo_labels * sum(len(index) for index in parts)))
            loss, weight = self.pseudo_labels.losses(
                wanted, self._rewards, self.model.temporal_crop, self.rng
            )
            total, count = total + (loss * weight).sum(dim=1), count + weight.sum(dim=1)
        return total / count.clamp(min=1e-9)

    def _estimate_mistakes(self) -> None:
        """Bring the share of wrong answers up to date, all members together."""
        if not self.model.robust:
            return
        losses, mistaken = [], []
        for term in self.terms:
            index = torch.arange(len(term.items))
            scores = self.scores(term.items, term.credit)
            losses.append(term.loss(scores, index, self.heads))
            mistaken.append(term.mistaken_loss(losses[-1], scores, index, self.heads))
        self.mistake = mistake_rate(self.mistake, losses, mistaken, self.stopping)

    def _choose_decay(self, loss: Tensor) -> None:
        """Keep, for each member, the copy with the least held-out loss."""
        members = self.model.members
        best = loss.reshape(len(self.decays), members).argmin(dim=0)
        rows = best * members + torch.arange(members)
        self.parameters = self.parameters.detach()[rows]
        self.heads = {name: tensor.detach()[rows] for name, tensor in self.heads.items()}
        self.training = [weight[rows] for weight in self.training]
        self.heldout = [weight[rows] for weight in self.heldout]
        self.stopping = [weight[rows] for weight in self.stopping]
        self.count = members

    def best(self) -> RewardEnsemble:
        """The fitted ensemble."""
        parameters = self.layout.unpack(self.parameters)
        state = replace(
            self.ensemble.state,
            parameters={name: tensor.numpy().copy() for name, tensor in parameters.items()},
            heads={name: tensor.numpy().copy() for name, tensor in self.heads.items()},
        )
        return replace(self.ensemble, state=state)

    @torch.no_grad()
    def metrics(self) -> Metrics:
        """How well the best weights explain labels, those of training and those held out."""
        metrics = {
            "reward/train_loss": float(self.mean_loss(self.training).mean()),
            "reward/fit_epochs": float(self.epochs),
        }
        if self.model.robust:
            metrics["reward/mistake_rate"] = float(self.mistake)
        scores = [self.scores(term.items, term.credit) for term in self.terms]
        orders = heldout_orders(self.terms, scores, self.heldout)
        if orders:
            metrics["reward/heldout_loss"] = float(self.mean_loss(self.stopping).mean())
        return {**metrics, **orders}
