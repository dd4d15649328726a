"""Fitting the reward ensemble to all evidence: every term and every member in one batch."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from rlhf_core.rewards.likelihoods import BOUNDS, contaminated
from rlhf_core.rewards.model import Labels, Likelihoods, RewardModel
from rlhf_core.rewards.network import RewardEnsemble, forward
from rlhf_core.rewards.perceptrons import Layout, Memory, perceptrons
from rlhf_core.rewards.terms import Comparisons, Marks, Orders, Term
from rlhf_core.types import Metrics, Segments

HEADS_SPEED = 10.0
"""Step size of the likelihoods' own parameters, relative to the network's."""
CALIBRATION_BINS = 10


def fit(
    ensemble: RewardEnsemble,
    segments: Segments,
    labels: Labels,
    likelihoods: Likelihoods,
    unlabelled: Segments,
    rng: np.random.Generator,
) -> tuple[RewardEnsemble, Metrics]:
    """Maximise the likelihood of all labels, each member on its own part of them.

    Question i of each form belongs to fold i mod `heldout_folds`, for ever. Member m never trains
    on fold m mod `heldout_folds`: that fold tells when to stop it, which weight decay suits it and
    how well it predicts. So every label teaches most members, and held-out accuracy costs no
    label. A member keeps the weights of its best epoch.

    Args:
        ensemble: where to start from; the last round's, or a fresh one.
        segments: all segments that were ever asked about.
        labels: all labels so far.
        likelihoods: how the labels are thought to come about.
        unlabelled: what the policy does now, for pseudo-labels (Park et al. 2022,
            https://arxiv.org/abs/2203.10050).
        rng: minibatch order, crops, pseudo-pairs.

    Returns:
        The fitted ensemble and `reward/train_loss`, `reward/heldout_loss`,
        `reward/heldout_accuracy` and `reward/calibration_error` (over ordered pairs; absent with
        none held out), `reward/fit_epochs`, and `reward/mistake_rate` of a robust fit.
    """
    terms = _terms(segments, labels, likelihoods, ensemble.model)
    if not terms:
        return ensemble, {}
    trainer = _Trainer(ensemble, segments, terms, unlabelled, rng)
    trainer.train()
    return trainer.best(), trainer.metrics()


def ordered_right(
    ensemble: RewardEnsemble, segments: Segments, labels: Labels, likelihoods: Likelihoods
) -> tuple[float, float]:
    """How many answered questions the ensemble's mean orders as the labels do, of how many.

    A question that puts several clips in order counts once, by the share of its orders; two
    ratings count as one, since one alone orders nothing. So they can be taken for trials.
    """
    right, trials = 0.0, 0.0
    rewards = torch.from_numpy(ensemble.segment_rewards(segments))
    scale = torch.tensor(np.array(ensemble.state.member_scale))[:, None, None]
    mean = (rewards / scale).mean(dim=0, keepdim=True)
    for term in _terms(segments, labels, likelihoods, ensemble.model):
        margins, stated = term.margins(_sums(mean[:, term.items], term.credit))
        counted = torch.minimum(term.weight[stated[:, 0]], term.weight[stated[:, 1]]).double()
        questions = int(term.question.max()) + 1
        of = term.question[stated[:, 0]]
        total = torch.zeros(questions).double().index_add(0, of, counted)
        same = torch.zeros(questions).double().index_add(0, of, counted * (margins[0] > 0))
        some = total > 0
        right += term.trials * float((same[some] / total[some]).sum())
        trials += term.trials * float(some.sum())
    return right, trials


def _terms(
    segments: Segments, labels: Labels, likelihoods: Likelihoods, model: RewardModel
) -> list[Term]:
    terms: list[Term] = []
    if len(labels.preferences):
        terms.append(Comparisons(labels.preferences, likelihoods.ties, model.label_smoothing))
    if len(labels.rankings):
        terms.append(Orders(labels.rankings, labels.ranking_weight, likelihoods.ties))
    if len(labels.ratings):
        terms.append(Marks(labels.ratings, labels.rating_weight, segments, likelihoods))
    return terms


def _sums(rewards: Tensor, credit: Tensor | None) -> Tensor:
    """Scores (M, n, K) of rewards (M, n, K, L), each step counted by its credit."""
    return rewards.sum(dim=3) if credit is None else (rewards * credit[:, None]).sum(dim=3)


class _Trainer:
    """One fit. Copies of the ensemble, one a weight decay, train side by side as more members."""

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
        if model.pseudo_labels:
            self.free_features = torch.from_numpy(ensemble.segment_features(unlabelled))
            self.free_mask = torch.from_numpy(np.array(unlabelled.mask, dtype=np.float32))

        fold = torch.arange(self.count) % model.members % model.heldout_folds
        self.trained, self.judged = [], []
        for term in terms:
            held_out = term.question % model.heldout_folds == fold[:, None]
            self.trained.append((~held_out).float() * term.weight)
            self.judged.append(held_out.float() * term.weight)

        def copies(array: np.ndarray) -> Tensor:
            return torch.tensor(np.concatenate([array] * len(self.decays)), requires_grad=True)

        state = ensemble.state
        self.layout, self.memory = Layout(state.parameters), Memory()
        self.parameters = copies(self.layout.pack(state.parameters).numpy())
        self.heads: dict[str, Tensor] = {}
        for term in terms:
            for name, fresh in term.heads(self.count).items():
                kept = state.heads.get(name)
                if kept is None or kept.shape[1:] != fresh.shape[1:]:
                    self.heads[name] = fresh.clone().requires_grad_()
                else:
                    self.heads[name] = copies(np.asarray(kept))
        self.mistake = torch.tensor(0.1)
        self.epochs = 0

    def scores(self, items: Tensor, credit: Tensor | None, crop: bool = False) -> Tensor:
        """Scores (M, n, K) of segments at positions (n, K)."""
        features, mask = self.features[items], self.mask[items]
        if crop:
            mask = mask * self._crop(mask)
        return _sums(self._rewards(features) * mask, credit)

    def _rewards(self, features: Tensor) -> Tensor:
        flat = features.reshape(-1, features.shape[-1])
        if self.ensemble.picture is None:
            rewards = perceptrons(self.parameters, flat, self.layout, self.memory)
        else:
            parameters = self.layout.unpack(self.parameters)
            rewards = forward(parameters, flat, self.ensemble.picture)
        return rewards.reshape(self.count, *features.shape[:-1])

    def _crop(self, mask: Tensor) -> Tensor:
        """Random windows (n, K, L), of one length for the segments of one observation.

        They are cut out of the real steps, so that the shortest clip bounds the length.
        """
        real = mask.numpy().sum(axis=2, keepdims=True).astype(np.int64)
        longest = real.min(axis=1, keepdims=True)
        shortest = np.maximum(np.round(self.model.temporal_crop * longest), 1).astype(np.int64)
        length = self.rng.integers(shortest, longest, endpoint=True)
        start = self.rng.integers(0, real - length, endpoint=True)
        step = np.arange(mask.shape[2])
        return torch.from_numpy(((step >= start) & (step < start + length)).astype(np.float32))

    def losses(self, term: Term, scores: Tensor, index: Tensor) -> Tensor:
        """Loss (M, n) of observations, mistakes allowed for in a robust fit."""
        loss = term.loss(scores, index, self.heads)
        if self.model.robust:
            loss = contaminated(
                loss,
                term.blind(loss, scores, index, self.heads),
                self.mistake.expand(self.count, 1),
            )
        return loss

    def whole(self, weights: Sequence[Tensor]) -> Tensor:
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

        # A member without held-out labels is judged on its own training labels.
        unjudged = torch.stack([j.sum(dim=1) for j in self.judged]).sum(dim=0) == 0
        self.judges = [
            torch.where(unjudged[:, None], trained, judged)
            for judged, trained in zip(self.judged, self.trained, strict=True)
        ]
        everything = {"network": self.parameters, **self.heads}
        self.kept = {name: tensor.detach().clone() for name, tensor in everything.items()}
        with torch.no_grad():
            self._estimate_mistakes()
            best_loss = self.whole(self.judges)
        waited = torch.zeros(self.count)
        while self.epochs < model.epochs and bool((waited < model.patience).any()):
            self.epochs += 1
            orders = [
                np.array_split(self.rng.permutation(len(term.items)), batches)
                for term in self.terms
            ]
            for parts in zip(*orders, strict=True):
                if not any(len(part) for part in parts):
                    continue
                optimiser.zero_grad()
                self._batch_loss([torch.from_numpy(part) for part in parts]).sum().backward()
                optimiser.step()
                with torch.no_grad():
                    for name, (least, most) in BOUNDS.items():
                        if name in self.heads:
                            self.heads[name].clamp_(least, most)
                    self.parameters.mul_(1 - model.learning_rate * self.decay)
            with torch.no_grad():
                self._estimate_mistakes()
                now = self.whole(self.judges)
            better = (now < best_loss) & (waited < model.patience)
            best_loss = torch.where(better, now, best_loss)
            waited = torch.where(better, torch.zeros_like(waited), waited + 1)
            for name, tensor in everything.items():
                choice = better.reshape(-1, *[1] * (tensor.ndim - 1))
                self.kept[name] = torch.where(choice, tensor.detach(), self.kept[name])
        for name, tensor in everything.items():
            tensor.data.copy_(self.kept[name])
        self._choose_decay(best_loss)

    def _batch_loss(self, parts: Sequence[Tensor]) -> Tensor:
        """Mean loss (M,) over the labels of one minibatch, pseudo-labels included."""
        total, count = torch.zeros(self.count), torch.zeros(self.count)
        crop = self.model.temporal_crop < 1
        for term, trained, index in zip(self.terms, self.trained, parts, strict=True):
            if not len(index):
                continue
            credit = None if term.credit is None else term.credit[index]
            # A rating of a moment loses its meaning when its steps are cut away.
            scores = self.scores(term.items[index], credit, crop and term.credit is None)
            weight = trained[:, index]
            total = total + (self.losses(term, scores, index) * weight).sum(dim=1)
            count = count + weight.sum(dim=1)
        if self.model.pseudo_labels:
            wanted = round(self.model.pseudo_labels * sum(len(index) for index in parts))
            loss, weight = self._pseudo(max(1, wanted))
            total, count = total + (loss * weight).sum(dim=1), count + weight.sum(dim=1)
        return total / count.clamp(min=1e-9)

    def _pseudo(self, count: int) -> tuple[Tensor, Tensor]:
        """Loss and weight (M, n) of unlabelled pairs that a member is sure of already."""
        pair = torch.from_numpy(self.rng.integers(len(self.free_mask), size=(count, 2)))
        rewards = self._rewards(self.free_features[pair]) * self.free_mask[pair]
        with torch.no_grad():
            whole = rewards.sum(dim=3)
            advantage = whole[:, :, 1] - whole[:, :, 0]
            sure = torch.sigmoid(advantage.abs()) > self.model.pseudo_confidence
        shown = (rewards * self._crop(self.free_mask[pair])).sum(dim=3)
        sign = torch.sign(advantage)
        loss = torch.nn.functional.softplus(-sign * (shown[:, :, 1] - shown[:, :, 0]))
        return loss, sure.float()

    def _estimate_mistakes(self) -> None:
        """One step of expectation-maximisation for the share of wrong answers.

        Taken over labels that the member never trained on, all members together; the prior is
        worth ten answers, one of them wrong.
        """
        if not self.model.robust:
            return
        wrong, count = torch.tensor(1.0), torch.tensor(10.0)
        for term, weight in zip(self.terms, self.judges, strict=True):
            index = torch.arange(len(term.items))
            scores = self.scores(term.items, term.credit)
            loss = term.loss(scores, index, self.heads)
            other = term.blind(loss, scores, index, self.heads)
            odds = torch.log(self.mistake / (1 - self.mistake)) + loss - other
            wrong = wrong + (torch.sigmoid(odds) * weight).sum()
            count = count + weight.sum()
        self.mistake = (wrong / count).clamp(0.01, 0.45)

    def _choose_decay(self, loss: Tensor) -> None:
        """Keep, for each member, the copy whose held-out labels like it best."""
        members = self.model.members
        best = loss.reshape(len(self.decays), members).argmin(dim=0)
        rows = best * members + torch.arange(members)
        self.parameters = self.parameters.detach()[rows]
        self.heads = {name: tensor.detach()[rows] for name, tensor in self.heads.items()}
        self.trained = [weight[rows] for weight in self.trained]
        self.judged = [weight[rows] for weight in self.judged]
        self.judges = [weight[rows] for weight in self.judges]
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
        """How well the kept weights explain labels, seen and unseen."""
        found = {
            "reward/train_loss": float(self.whole(self.trained).mean()),
            "reward/fit_epochs": float(self.epochs),
        }
        if self.model.robust:
            found["reward/mistake_rate"] = float(self.mistake)
        correct, confidence, weights = [], [], []
        for term, judged in zip(self.terms, self.judged, strict=True):
            margins, stated = term.margins(self.scores(term.items, term.credit))
            # Two ratings make a held-out order only where both were held out.
            weight = torch.minimum(judged[:, stated[:, 0]], judged[:, stated[:, 1]])
            # Each form counts by its observations, however many pairs it puts in order.
            share = judged.sum() / weight.sum().clamp(min=1e-9)
            correct.append((margins > 0).float().ravel())
            confidence.append(torch.sigmoid(margins.abs()).ravel())
            weights.append((weight * share).ravel())
        found |= self._heldout(correct, confidence, weights)
        return found

    def _heldout(
        self, correct: list[Tensor], confidence: list[Tensor], weights: list[Tensor]
    ) -> Metrics:
        """Loss, accuracy and calibration on labels that a member never trained on."""
        right, weight = torch.cat(correct), torch.cat(weights)
        if not float(weight.sum()) > 0:
            return {}
        found = {
            "reward/heldout_loss": float(self.whole(self.judges).mean()),
            "reward/heldout_accuracy": float((right * weight).sum() / weight.sum()),
        }
        sure = [index for index, term in enumerate(self.terms) if term.calibrated]
        counted = sum(float(weights[index].sum()) for index in sure)
        if counted > 0:
            parts = ([part[index] for index in sure] for part in (correct, confidence, weights))
            found["reward/calibration_error"] = _calibration_error(*map(torch.cat, parts))
        return found


def _calibration_error(right: Tensor, sure: Tensor, weight: Tensor) -> float:
    """Expected calibration error: |accuracy - confidence| over bins of confidence, weighted.

    Naeini et al. 2015; confidence of the likelier order lies in [1/2, 1].
    """
    bins = ((sure - 0.5) * 2 * CALIBRATION_BINS).long().clamp(max=CALIBRATION_BINS - 1)
    gap = torch.zeros(CALIBRATION_BINS).index_add(0, bins, weight * (right - sure))
    return float(gap.abs().sum() / weight.sum())
