"""Distributions of actions over the actor's outputs, with gradients by hand.

Outputs, actions and noise are columns: (outputs, B), so that sums over outputs are sums of rows.
"""

from abc import ABC, abstractmethod
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Shaped

LOG_ROOT = np.float32(np.log(np.sqrt(2 * np.pi)))


class LogProb(NamedTuple):
    """Log-probabilities of actions, and the entropies of their distributions."""

    log_prob: Float[np.ndarray, " B"]
    entropy: Float[np.ndarray, " B"]
    cache: tuple[np.ndarray, ...]
    """Arrays that `Head.gradient` uses again."""


class Sample(NamedTuple):
    """Drawn actions and their log-probabilities."""

    actions: Shaped[np.ndarray, "B act"]
    log_prob: Float[np.ndarray, " B"]


class Head(ABC):
    """A family of distributions of actions, whose parameters are outputs of the network."""

    log_std_size: int
    """Number of log standard deviations, which do not depend on the state."""

    @abstractmethod
    def encode(self, actions: Shaped[np.ndarray, "B act"]) -> Float[np.ndarray, "rows B"]:
        """Return actions as the other methods read them."""

    @abstractmethod
    def log_prob(
        self, outputs: Float[np.ndarray, "outputs B"], log_std: np.ndarray, actions: np.ndarray
    ) -> LogProb:
        """Compute the log-probability of encoded actions, and the entropy."""

    @abstractmethod
    def gradient(
        self,
        evaluated: LogProb,
        log_std: np.ndarray,
        actions: np.ndarray,
        log_prob_gradient: Float[np.ndarray, " B"],
        entropy_gradient: float,
        log_std_gradient: np.ndarray,
    ) -> Float[np.ndarray, "outputs B"]:
        """Compute the gradient of a loss by the outputs, and write that by `log_std`.

        Args:
            evaluated: result of `log_prob` for the same arguments.
            log_std: log standard deviations.
            actions: encoded actions.
            log_prob_gradient: derivative of the loss by each log-probability.
            entropy_gradient: derivative of the loss by each entropy.
            log_std_gradient: receives the gradient by `log_std`.
        """

    @abstractmethod
    def mode(self, outputs: Float[np.ndarray, "outputs B"]) -> Shaped[np.ndarray, "B act"]:
        """Return the actions of the largest probability or density."""

    @abstractmethod
    def sample(self, outputs: np.ndarray, log_std: np.ndarray) -> Sample:
        """Draw actions from torch's generator, with the draws of Stable-Baselines3."""


class Categorical(Head):
    """One category, or several independent ones.

        log p(a) = sum over groups of l_a - log sum_j exp l_j

    d log p(a) / d l = onehot(a) - p;  d H / d l = -p (log p + H), group by group.
    """

    log_std_size = 0

    def __init__(self, sizes: tuple[int, ...]) -> None:
        self.sizes = sizes
        ends = np.cumsum([0, *sizes]).tolist()
        self._groups = [slice(a, b) for a, b in pairwise(ends)]
        self._total = ends[-1]

    def encode(self, actions: np.ndarray) -> np.ndarray:
        """Return actions one-hot."""
        hot = np.zeros((self._total, len(actions)), dtype=np.float32)
        for column, group in enumerate(self._groups):
            rows = actions[:, column].astype(np.int64) + group.start
            hot[rows, np.arange(len(actions))] = 1.0
        return hot

    def log_prob(self, outputs: np.ndarray, log_std: np.ndarray, actions: np.ndarray) -> LogProb:
        """Compute log-softmax and softmax of each group."""
        logs, chances = np.empty_like(outputs), np.empty_like(outputs)
        entropies = []
        for group in self._groups:
            log, chance = logs[group], chances[group]
            np.subtract(outputs[group], np.maximum.reduce(outputs[group]), out=log)
            np.exp(log, out=chance)
            total = np.add.reduce(chance)
            log -= np.log(total)
            chance /= total
            entropies.append(-np.add.reduce(chance * log))
        chosen = np.add.reduce(logs * actions)
        entropy = entropies[0] if len(entropies) == 1 else np.add.reduce(entropies)
        return LogProb(chosen, entropy, (logs, chances, *entropies))

    def gradient(
        self,
        evaluated: LogProb,
        log_std: np.ndarray,
        actions: np.ndarray,
        log_prob_gradient: np.ndarray,
        entropy_gradient: float,
        log_std_gradient: np.ndarray,
    ) -> np.ndarray:
        """Compute the gradient of log p(a), and of the entropy, by the logits."""
        logs, chances, *entropies = evaluated.cache
        gradient: np.ndarray = (actions - chances) * log_prob_gradient
        if entropy_gradient:
            for group, entropy in zip(self._groups, entropies, strict=True):
                gradient[group] -= entropy_gradient * chances[group] * (logs[group] + entropy)
        return gradient

    def mode(self, outputs: np.ndarray) -> np.ndarray:
        """Return the category with the largest logit of each group."""
        return np.stack([outputs[group].argmax(axis=0) for group in self._groups], axis=1)

    def sample(self, outputs: np.ndarray, log_std: np.ndarray) -> Sample:
        """Draw argmax p / noise with exponential noise, as `torch.multinomial` does."""
        logs, chances, *_ = self.log_prob(outputs, log_std, outputs).cache
        count = outputs.shape[1]
        actions = np.empty((count, len(self.sizes)), dtype=np.int64)
        log_prob = np.zeros(count, dtype=np.float32)
        for column, group in enumerate(self._groups):
            noise = torch.empty(count, self.sizes[column]).exponential_(1.0).numpy()
            actions[:, column] = (chances[group].T / noise).argmax(axis=1)
            log_prob += logs[actions[:, column] + group.start, np.arange(count)]
        return Sample(actions, log_prob)


class DiagonalGaussian(Head):
    """Independent Gaussians whose standard deviations do not depend on the state.

        log p(a) = -sum of (z^2 / 2 + log std + log sqrt(2 pi)),  z = (a - mean) / std

    d log p / d mean = z / std;  d log p / d log std = z^2 - 1;  d H / d log std = 1.
    """

    def __init__(self, size: int) -> None:
        self.log_std_size = size

    def encode(self, actions: np.ndarray) -> np.ndarray:
        """Return actions as float32 columns."""
        return np.ascontiguousarray(actions.T, dtype=np.float32)

    def log_prob(self, outputs: np.ndarray, log_std: np.ndarray, actions: np.ndarray) -> LogProb:
        """Compute the density of standardised actions."""
        z = (actions - outputs) * np.exp(-log_std)[:, None]
        constant = np.add.reduce(log_std) + self.log_std_size * LOG_ROOT
        log_prob = np.add.reduce(z * z) * np.float32(-0.5) - constant
        entropy = np.full_like(log_prob, constant + 0.5 * self.log_std_size)
        return LogProb(log_prob, entropy, (z,))

    def gradient(
        self,
        evaluated: LogProb,
        log_std: np.ndarray,
        actions: np.ndarray,
        log_prob_gradient: np.ndarray,
        entropy_gradient: float,
        log_std_gradient: np.ndarray,
    ) -> np.ndarray:
        """Compute the gradient of log p(a) by the means; the entropy does not depend on them."""
        (z,) = evaluated.cache
        weighted = z * log_prob_gradient
        log_std_gradient[:] = np.add.reduce(weighted * z, axis=1)
        log_std_gradient -= np.add.reduce(log_prob_gradient)
        log_std_gradient += entropy_gradient * len(log_prob_gradient)
        gradient: np.ndarray = weighted * np.exp(-log_std)[:, None]
        return gradient

    def mode(self, outputs: np.ndarray) -> np.ndarray:
        """Return the mean."""
        return outputs.T.copy()

    def sample(self, outputs: np.ndarray, log_std: np.ndarray) -> Sample:
        """Draw mean + std * noise."""
        shape = outputs.T.shape
        noise = torch.normal(torch.zeros(shape), torch.ones(shape)).numpy()
        actions = outputs.T + noise * np.exp(log_std)
        evaluated = self.log_prob(outputs, log_std, actions.T)
        return Sample(actions, evaluated.log_prob)
