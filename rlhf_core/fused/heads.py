"""What the actor's outputs mean: distributions of actions, with gradients by hand.

Outputs, actions and noise are columns: (outputs, B), so that sums over outputs are sums of rows.
"""

from abc import ABC, abstractmethod
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Shaped

LOG_ROOT = np.float32(np.log(np.sqrt(2 * np.pi)))


class Judged(NamedTuple):
    """What a distribution says of some actions."""

    log_probability: Float[np.ndarray, " B"]
    entropy: Float[np.ndarray, " B"]
    kept: tuple[np.ndarray, ...]
    """What the gradient needs."""


class Drawn(NamedTuple):
    """Actions, and how likely they were."""

    actions: Shaped[np.ndarray, "B act"]
    log_probability: Float[np.ndarray, " B"]


class Head(ABC):
    """A distribution of actions over outputs of the network."""

    deviations: int
    """Parameters of the distribution that do not depend on the state."""

    @abstractmethod
    def encode(self, actions: Shaped[np.ndarray, "B act"]) -> Float[np.ndarray, "rows B"]:
        """Actions as the other methods want them."""

    @abstractmethod
    def judge(
        self, outputs: Float[np.ndarray, "outputs B"], log_std: np.ndarray, actions: np.ndarray
    ) -> Judged:
        """Log-probability of encoded actions, and entropy."""

    @abstractmethod
    def slope(
        self,
        judged: Judged,
        log_std: np.ndarray,
        actions: np.ndarray,
        slope: Float[np.ndarray, " B"],
        entropy_slope: float,
        log_std_slope: np.ndarray,
    ) -> Float[np.ndarray, "outputs B"]:
        """Gradient by the outputs, and into `log_std_slope`, of a loss.

        `slope` is the loss's derivative by each log-probability, `entropy_slope` by each entropy.
        """

    @abstractmethod
    def mode(self, outputs: Float[np.ndarray, "outputs B"]) -> Shaped[np.ndarray, "B act"]:
        """The likeliest actions."""

    @abstractmethod
    def sample(self, outputs: np.ndarray, log_std: np.ndarray) -> Drawn:
        """Actions drawn as Stable-Baselines3 draws them, from torch's generator."""


class Categorical(Head):
    """One category, or several that are drawn independently.

        log p(a) = sum over groups of l_a - log sum_j exp l_j

    d log p(a) / d l = onehot(a) - p;  d H / d l = -p (log p + H), group by group.
    """

    deviations = 0

    def __init__(self, sizes: tuple[int, ...]) -> None:
        self.sizes = sizes
        ends = np.cumsum([0, *sizes]).tolist()
        self._groups = [slice(a, b) for a, b in pairwise(ends)]
        self._total = ends[-1]

    def encode(self, actions: np.ndarray) -> np.ndarray:
        """One-hot."""
        hot = np.zeros((self._total, len(actions)), dtype=np.float32)
        for column, group in enumerate(self._groups):
            rows = actions[:, column].astype(np.int64) + group.start
            hot[rows, np.arange(len(actions))] = 1.0
        return hot

    def judge(self, outputs: np.ndarray, log_std: np.ndarray, actions: np.ndarray) -> Judged:
        """Normalise the logits of each group."""
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
        return Judged(chosen, entropy, (logs, chances, *entropies))

    def slope(
        self,
        judged: Judged,
        log_std: np.ndarray,
        actions: np.ndarray,
        slope: np.ndarray,
        entropy_slope: float,
        log_std_slope: np.ndarray,
    ) -> np.ndarray:
        """Towards the taken categories, and towards more even ones."""
        logs, chances, *entropies = judged.kept
        gradient: np.ndarray = (actions - chances) * slope
        if entropy_slope:
            for group, entropy in zip(self._groups, entropies, strict=True):
                gradient[group] -= entropy_slope * chances[group] * (logs[group] + entropy)
        return gradient

    def mode(self, outputs: np.ndarray) -> np.ndarray:
        """The largest output of each group."""
        return np.stack([outputs[group].argmax(axis=0) for group in self._groups], axis=1)

    def sample(self, outputs: np.ndarray, log_std: np.ndarray) -> Drawn:
        """The largest of chances over exponential noise: what `torch.multinomial` does inside."""
        logs, chances, *_ = self.judge(outputs, log_std, outputs).kept
        count = outputs.shape[1]
        actions = np.empty((count, len(self.sizes)), dtype=np.int64)
        log_probability = np.zeros(count, dtype=np.float32)
        for column, group in enumerate(self._groups):
            noise = torch.empty(count, self.sizes[column]).exponential_(1.0).numpy()
            actions[:, column] = (chances[group].T / noise).argmax(axis=1)
            log_probability += logs[actions[:, column] + group.start, np.arange(count)]
        return Drawn(actions, log_probability)


class DiagonalGaussian(Head):
    """Independent numbers whose standard deviations do not depend on the state.

        log p(a) = -sum of (z^2 / 2 + log std + log sqrt(2 pi)),  z = (a - mean) / std

    d log p / d mean = z / std;  d log p / d log std = z^2 - 1;  d H / d log std = 1.
    """

    def __init__(self, size: int) -> None:
        self.deviations = size

    def encode(self, actions: np.ndarray) -> np.ndarray:
        """The numbers themselves."""
        return np.ascontiguousarray(actions.T, dtype=np.float32)

    def judge(self, outputs: np.ndarray, log_std: np.ndarray, actions: np.ndarray) -> Judged:
        """Standardise the actions."""
        z = (actions - outputs) * np.exp(-log_std)[:, None]
        constant = np.add.reduce(log_std) + self.deviations * LOG_ROOT
        log_probability = np.add.reduce(z * z) * np.float32(-0.5) - constant
        entropy = np.full_like(log_probability, constant + 0.5 * self.deviations)
        return Judged(log_probability, entropy, (z,))

    def slope(
        self,
        judged: Judged,
        log_std: np.ndarray,
        actions: np.ndarray,
        slope: np.ndarray,
        entropy_slope: float,
        log_std_slope: np.ndarray,
    ) -> np.ndarray:
        """Towards the taken actions."""
        (z,) = judged.kept
        pull = z * slope
        log_std_slope[:] = np.add.reduce(pull * z, axis=1) - np.add.reduce(slope)
        log_std_slope += entropy_slope * len(slope)
        gradient: np.ndarray = pull * np.exp(-log_std)[:, None]
        return gradient

    def mode(self, outputs: np.ndarray) -> np.ndarray:
        """The mean."""
        return outputs.T.copy()

    def sample(self, outputs: np.ndarray, log_std: np.ndarray) -> Drawn:
        """Mean and noise."""
        shape = outputs.T.shape
        noise = torch.normal(torch.zeros(shape), torch.ones(shape)).numpy()
        actions = outputs.T + noise * np.exp(log_std)
        judged = self.judge(outputs, log_std, actions.T)
        return Drawn(actions, judged.log_probability)
