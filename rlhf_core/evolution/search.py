"""The frozen state of a search, its population, and what several strategies compute."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Shaped


@dataclass(frozen=True)
class SearchState(ABC):
    """State of a search between two generations; a strategy adds the arrays that it needs."""

    mean: Float[np.ndarray, " D"]
    """Centre of the population, and the best parameters so far."""

    @abstractmethod
    def arrays(self) -> dict[str, np.ndarray]:
        """Return all arrays but the mean, by their names in a stored policy."""


@dataclass(frozen=True)
class MeanState(SearchState):
    """State of a search that consists of the mean alone."""

    def arrays(self) -> dict[str, np.ndarray]:
        """Return no arrays."""
        return {}


class Population(NamedTuple):
    """One generation: the members, and the random numbers that they are made of."""

    members: Float[np.ndarray, "P D"]
    noise: Shaped[np.ndarray, "..."]
    """As the `tell` of the same strategy reads it."""


def antithetic(mean: np.ndarray, noise: np.ndarray) -> Float[np.ndarray, "P D"]:
    """Return mean + noise, then mean - noise: antithetic pairs, P = 2 n.

    Args:
        mean: (D,).
        noise: (n, D), perturbations in the units of the mean.
    """
    return np.concatenate([mean + noise, mean - noise])


def centred_ranks(fitness: Float[np.ndarray, " P"]) -> Float[np.ndarray, " P"]:
    """Return ranks from -1/2 (the lowest fitness) to 1/2; equal members get their mean rank.

    Salimans et al. 2017, https://arxiv.org/abs/1703.03864, section 2.1.
    """
    order = np.sort(fitness)
    low = np.searchsorted(order, fitness, side="left")
    high = np.searchsorted(order, fitness, side="right") - 1
    return (low + high) / (2 * max(len(fitness) - 1, 1)) - 0.5
