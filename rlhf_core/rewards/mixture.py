"""Mixtures of earlier rewards: a Bayesian fit that ten comparisons suffice for.

    r(x)           = b sum over k of w_k x_k,  w_k >= 0,  sum of w = 1
    P(w, b, e | D) ~ P(w) P(b) P(e) product over i of P(answer i | b w, e)

x_k are the outputs of K earlier rewards (`bank.py`), b says how surely a better clip is preferred
and e which share of the answers is wrong. A new task is one of the earlier ones, or lies between
them: half of the prior is on the K single rewards, half on mixtures, which are drawn from a flat
Dirichlet distribution over each number of parts. The posterior is computed on those draws. This
is few-shot adaptation as in Ren et al. 2022 (ANOLE, https://arxiv.org/abs/2211.10861), where a
task is found among earlier ones by questions that tell them apart, with mixtures added to the
candidates, and the count of contradicting answers replaced by their likelihood.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from rlhf_core.rewards.accuracy import heldout_orders
from rlhf_core.rewards.likelihoods import contaminated
from rlhf_core.rewards.network import RewardEnsemble
from rlhf_core.rewards.ridge import scaled_designs
from rlhf_core.rewards.terms import Term
from rlhf_core.types import Metrics, Segments

DRAWS = 8192
"""Mixtures that are drawn from the prior."""
MEMBERS = 64
"""M, draws from the posterior, which take the place of an ensemble."""
SURENESS = (1.0, 3.0, 10.0, 30.0)
"""b, in standard deviations of the clips' returns."""
MISTAKES = (0.01, 0.1, 0.3)
"""e, shares of wrong answers."""


def prior(
    size: int, rng: np.random.Generator
) -> tuple[Float[np.ndarray, "H K"], Float[np.ndarray, " H"]]:
    """Draw weights of K rewards, and the probability of each draw.

    Args:
        size: K.
        rng: the source of randomness.
    """
    parts = rng.integers(2, max(size, 2) + 1, size=DRAWS)
    place = rng.random((DRAWS, size)).argsort(axis=1).argsort(axis=1)
    mixed = rng.exponential(size=(DRAWS, size)) * (place < parts[:, None])
    mixed /= mixed.sum(axis=1, keepdims=True)
    probability = np.concatenate([np.full(size, 0.5 / size), np.full(DRAWS, 0.5 / DRAWS)])
    return np.concatenate([np.eye(size), mixed]), probability


def prior_members(
    outputs: Float[np.ndarray, "S L K"], rng: np.random.Generator
) -> Float[np.ndarray, "M P"]:
    """Draw the members of an ensemble without answers, as weights of polynomials of degree 1.

    Args:
        outputs: of the bank on each step of some clips, 0 where padded.
        rng: the source of randomness.
    """
    weights, probability = prior(outputs.shape[2], rng)
    posterior = np.repeat(probability[:, None] / len(SURENESS), len(SURENESS), axis=1)
    return _drawn(weights, posterior, float(outputs.sum(axis=1).std()) or 1.0, rng)


class Mixture:
    """One fit."""

    def __init__(
        self,
        ensemble: RewardEnsemble,
        segments: Segments,
        terms: Sequence[Term],
        rng: np.random.Generator,
    ) -> None:
        """Fits at once.

        Args:
            ensemble: with the bank and the scales of its outputs.
            segments: all segments that were ever asked about.
            terms: all labels so far, with their likelihoods.
            rng: draws from prior and posterior.
        """
        self.ensemble, self.terms = ensemble, terms
        designs, scale = scaled_designs(ensemble, segments, terms, 1)
        drawn, probability = prior(len(ensemble.state.bank), rng)
        weights = torch.from_numpy(drawn.astype(np.float32))
        # A constant has no weight: it orders no clips.
        self._returns = [torch.einsum("nkp,hp->hnk", made[..., 1:], weights) for made in designs]
        settings = [(b, e) for b in SURENESS for e in MISTAKES]
        fits = torch.stack([-self._loss(*setting).sum(dim=1) for setting in settings], dim=1)
        before = torch.from_numpy(np.log(probability)) - np.log(len(settings))
        after = before[:, None] + fits
        evidence = torch.logsumexp(after.flatten(), dim=0)
        self._log_posterior = dict(zip(settings, (after - evidence).unbind(dim=1), strict=True))
        posterior = torch.exp(after - evidence).reshape(-1, len(SURENESS), len(MISTAKES))
        self._train_loss = -float(evidence) / sum(len(term.items) for term in terms)
        self._mean = (posterior.sum(dim=(1, 2)) @ weights.double()).numpy()
        self._mistakes = float(posterior.sum(dim=(0, 1)) @ torch.tensor(MISTAKES).double())
        self._members = _drawn(drawn, posterior.sum(dim=2).numpy(), scale, rng)

    def _loss(self, sureness: float, mistakes: float) -> Float[Tensor, "H Q"]:
        """Negative log-likelihood of the answers to each question, terms side by side."""
        summed = []
        for term, returns in zip(self.terms, self._returns, strict=True):
            index, scores = torch.arange(len(term.items)), sureness * returns
            heads = term.heads(len(scores))
            loss = term.loss(scores, index, heads)
            wrong = term.mistaken_loss(loss, scores, index, heads)
            share = torch.full((len(scores), 1), mistakes)
            loss = contaminated(loss, wrong, share) * term.weight
            questions = int(term.question.max()) + 1
            empty = torch.zeros(len(loss), questions, dtype=torch.float64)
            summed.append(empty.index_add(1, term.question, loss.double()))
        return torch.cat(summed, dim=1)

    def best(self) -> RewardEnsemble:
        """The ensemble of draws from the posterior."""
        state = replace(self.ensemble.state, parameters={"polynomial": self._members})
        return replace(self.ensemble, state=state)

    def metrics(self) -> Metrics:
        """How well the mixtures explain the answers, and what the reward is made of.

        Each question is predicted from the answers to all others, which is exact on the draws:
        P(w | all but i) ~ P(w | all) / P(answers to i | w).
        """
        mean = self._mean[self._mean > 0]
        return {
            "reward/train_loss": self._train_loss,
            "reward/mistake_rate": self._mistakes,
            "reward/bank_largest_weight": float(self._mean.max()),
            "reward/bank_parts": float(np.exp(-(mean * np.log(mean)).sum())),
            **heldout_orders(
                self.terms, self.left_out(), [term.weight[None] for term in self.terms]
            ),
        }

    def left_out(self) -> list[Float[Tensor, "1 N K"]]:
        """Mean scores of the clips of each question, by the answers to all other questions."""
        sums = [torch.zeros(returns.shape[1:], dtype=torch.float64) for returns in self._returns]
        counts = [torch.zeros(len(term.items), 1, dtype=torch.float64) for term in self.terms]
        for (sureness, mistakes), log_posterior in self._log_posterior.items():
            without = torch.exp(log_posterior[:, None] + self._loss(sureness, mistakes))
            first = 0
            for term, returns, total, count in zip(
                self.terms, self._returns, sums, counts, strict=True
            ):
                weight = without[:, first + term.question]
                total += sureness * torch.einsum("hn,hnk->nk", weight, returns.double())
                count += weight.sum(dim=0)[:, None]
                first += int(term.question.max()) + 1
        return [(total / count).float()[None] for total, count in zip(sums, counts, strict=True)]


def _drawn(
    weights: Float[np.ndarray, "H K"],
    posterior: Float[np.ndarray, "H B"],
    scale: float,
    rng: np.random.Generator,
) -> Float[np.ndarray, "M P"]:
    """Draw members from a posterior over weights and sureness, by systematic resampling.

    Args:
        weights: of the draws.
        posterior: of each draw with each sureness.
        scale: standard deviation of the clips' returns.
        rng: the source of randomness.
    """
    places = (np.arange(MEMBERS) + rng.random()) / MEMBERS
    reached = np.cumsum(posterior.ravel())
    chosen = np.searchsorted(reached / reached[-1], places)
    draw, sureness = np.divmod(chosen, len(SURENESS))
    linear = weights[draw] * np.array(SURENESS)[sureness, None] / scale
    members = np.concatenate([np.zeros((MEMBERS, 1)), linear], axis=1)
    return members.astype(np.float32)
