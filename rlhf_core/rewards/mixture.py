"""Mixtures of earlier rewards: a Bayesian fit that ten comparisons suffice for.

    r(x)           = b sum over k of w_k x_k,  w_k >= 0,  sum of w = 1
    P(w, b, e | D) ~ P(w) P(b) P(e) product over i of P(answer i | b w, e)

x_k are the outputs of K earlier rewards (`bank.py`), b is how surely a better clip is preferred and
e the share of wrong answers. A new task is one of the earlier ones, or lies between them: half of
the prior is on the K single rewards, half on mixtures of 2 to K of them, with weights uniform on
the simplex. The posterior is computed on draws from the prior. This is few-shot adaptation as in
Ren et al. 2022 (ANOLE, https://arxiv.org/abs/2211.10861), where a task is found among earlier ones
by questions that distinguish them, with mixtures added to the candidates, and the count of
contradicting answers replaced by their likelihood.
"""

from collections.abc import Iterator, Sequence
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
INVERSE_TEMPERATURES = (1.0, 3.0, 10.0, 30.0)
"""Values of b, in standard deviations of the clips' returns."""
MISTAKE_RATES = (0.01, 0.1, 0.3)
"""Values of e."""
CHUNK = 1024
"""Draws whose likelihood is computed at once."""
NEGLIGIBLE = 40.0
"""Draws whose log posterior is so much less than the largest one stay so without any one answer,
since an answer's log-likelihood is never less than log(0.01 / 2)."""


def prior(
    size: int, rng: np.random.Generator
) -> tuple[Float[np.ndarray, "H K"], Float[np.ndarray, " H"]]:
    """Draw weights of K rewards, and return the probability of each draw.

    Args:
        size: K.
        rng: the source of randomness.
    """
    single = np.eye(size)
    if size == 1:
        return single, np.ones(1)
    parts = rng.integers(2, size + 1, size=DRAWS)
    rank = rng.random((DRAWS, size)).argsort(axis=1).argsort(axis=1)
    mixed = rng.exponential(size=(DRAWS, size)) * (rank < parts[:, None])
    mixed /= mixed.sum(axis=1, keepdims=True)
    probability = np.concatenate([np.full(size, 0.5 / size), np.full(DRAWS, 0.5 / DRAWS)])
    return np.concatenate([single, mixed]), probability


def prior_members(
    features: Float[np.ndarray, "S L K"], rng: np.random.Generator
) -> Float[np.ndarray, "M P"]:
    """Draw the members of an ensemble without answers, as weights of polynomials of degree 1.

    Args:
        features: standardised outputs of the bank on each step of some clips, 0 where padded.
        rng: the source of randomness.
    """
    weights, probability = prior(features.shape[2], rng)
    count = len(INVERSE_TEMPERATURES)
    joint = np.repeat(probability[:, None] / count, count, axis=1)
    # The scale that `scaled_designs` gives the same clips.
    scale = float(np.sqrt(np.square(features.sum(axis=1).std(axis=0)).mean())) or 1.0
    return _resampled(weights, joint, scale, rng)


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
            terms: all labels so far, with their likelihoods, which put clips in order.
            rng: draws from prior and posterior.
        """
        self.ensemble, self.terms = ensemble, terms
        designs, scale = scaled_designs(ensemble, segments, terms, 1)
        # The constant orders no clips.
        self._designs = [design[..., 1:] for design in designs]
        weights, probability = prior(len(ensemble.state.bank), rng)
        grid = len(INVERSE_TEMPERATURES) * len(MISTAKE_RATES)
        log_prior = torch.from_numpy(np.log(probability)) - np.log(grid)
        every = torch.from_numpy(weights.astype(np.float32))
        fits = torch.stack([self._summed(every, b) for b in INVERSE_TEMPERATURES], dim=1)
        log_joint = log_prior[:, None, None] - fits
        self._log_posterior = log_joint - torch.logsumexp(log_joint.flatten(), dim=0)
        posterior = torch.exp(self._log_posterior)
        self._every, self._weight = every, (posterior.sum(dim=(1, 2)) @ every.double()).numpy()
        self._mistakes = float(posterior.sum(dim=(0, 1)) @ torch.tensor(MISTAKE_RATES).double())
        self._members = _resampled(weights, posterior.sum(dim=2).numpy(), scale, rng)

    def _losses(
        self, weights: Float[Tensor, "H K"], inverse_temperature: float
    ) -> Iterator[tuple[Float[Tensor, "H N C"], Float[Tensor, "E H Q"]]]:
        """Scores of each term's clips, and the loss of each question's answers for every e."""
        shares = torch.tensor(MISTAKE_RATES)[:, None, None].expand(-1, len(weights), 1)
        for term, design in zip(self.terms, self._designs, strict=True):
            scores = inverse_temperature * torch.einsum("nkp,hp->hnk", design, weights)
            index = torch.arange(len(term.items))
            loss = term.loss(scores, index, {})
            wrong = term.mistaken_loss(loss, scores, index, {})
            weighted = torch.stack(
                [(contaminated(loss, wrong, share) * term.weight).double() for share in shares]
            )
            questions = torch.zeros(*weighted.shape[:2], term.questions, dtype=torch.float64)
            yield scores, questions.index_add(2, term.question, weighted)

    def _summed(
        self, weights: Float[Tensor, "H K"], inverse_temperature: float
    ) -> Float[Tensor, "H E"]:
        """Negative log-likelihood of all answers."""
        parts = []
        for chunk in weights.split(CHUNK):
            losses = self._losses(chunk, inverse_temperature)
            parts.append(torch.stack([loss.sum(dim=2) for _, loss in losses]).sum(dim=0).T)
        return torch.cat(parts)

    def best(self) -> RewardEnsemble:
        """The ensemble of draws from the posterior."""
        state = replace(self.ensemble.state, parameters={"polynomial": self._members})
        return replace(self.ensemble, state=state)

    def metrics(self) -> Metrics:
        """How well the mixtures explain the answers, and what the reward is made of.

        Each question is predicted from the answers to all others:

            P(w | all but i)          ~ P(w | all) / P(answers to i | w)
            P(answers to i | others)  = 1 / E over P(w | all) of 1 / P(answers to i | w)
        """
        scores, train_loss, heldout_loss = self.left_out()
        weight = self._weight[self._weight > 0]
        return {
            "reward/train_loss": train_loss,
            "reward/heldout_loss": heldout_loss,
            "reward/mistake_rate": self._mistakes,
            "reward/bank_largest_weight": float(weight.max()),
            "reward/bank_parts": float(np.exp(-(weight * np.log(weight)).sum())),
            **heldout_orders(self.terms, scores, [term.weight[None] for term in self.terms]),
        }

    def left_out(self) -> tuple[list[Float[Tensor, "1 N K"]], float, float]:
        """Predict each question from the answers to all others.

        Returns:
            The mean scores of each term's clips; the mean loss of the answers under the posterior
            of all of them; the mean loss of each by the others.
        """
        scores = [torch.zeros(design.shape[:2], dtype=torch.float64) for design in self._designs]
        inverse = [torch.zeros(term.questions, dtype=torch.float64) for term in self.terms]
        loss = 0.0
        likely = self._log_posterior > self._log_posterior.max() - NEGLIGIBLE
        for column, inverse_temperature in enumerate(INVERSE_TEMPERATURES):
            draws = likely[:, column].any(dim=1)
            logs = self._log_posterior[draws, column].split(CHUNK)
            for chunk, log in zip(self._every[draws].split(CHUNK), logs, strict=True):
                for number, (returns, losses) in enumerate(
                    self._losses(chunk, inverse_temperature)
                ):
                    loss += float((torch.exp(log).T * losses.sum(dim=2)).sum())
                    without = torch.exp(log.T[:, :, None] + losses).sum(dim=0)
                    inverse[number] += without.sum(dim=0)
                    counted = without[:, self.terms[number].question]
                    scores[number] += torch.einsum("hn,hnk->nk", counted, returns.double())
        count = max(float(sum(term.weight.sum() for term in self.terms)), 1e-9)
        means = [
            (total / some[term.question][:, None]).float()[None]
            for total, some, term in zip(scores, inverse, self.terms, strict=True)
        ]
        return means, loss / count, float(torch.log(torch.cat(inverse)).sum()) / count


def _resampled(
    weights: Float[np.ndarray, "H K"],
    posterior: Float[np.ndarray, "H B"],
    scale: float,
    rng: np.random.Generator,
) -> Float[np.ndarray, "M P"]:
    """Draw members from a posterior over weights and b, by systematic resampling.

    Args:
        weights: of the draws.
        posterior: of each draw with each b.
        scale: what divides the clips' returns.
        rng: the source of randomness.
    """
    positions = (np.arange(MEMBERS) + rng.random()) / MEMBERS
    cumulative = np.cumsum(posterior.ravel())
    chosen = np.searchsorted(cumulative / cumulative[-1], positions)
    draw, column = np.divmod(chosen, len(INVERSE_TEMPERATURES))
    linear = weights[draw] * np.array(INVERSE_TEMPERATURES)[column, None] / scale
    return np.concatenate([np.zeros((MEMBERS, 1)), linear], axis=1).astype(np.float32)
