"""What every evolution strategy is: asked for a population, told how fit it was."""

from abc import ABC, abstractmethod

import numpy as np
from jaxtyping import Float


class Search(ABC):
    """A search for parameters of high fitness. All that it knows is in `memory`."""

    mean: Float[np.ndarray, " D"]
    """The parameters that it thinks best of now."""

    @abstractmethod
    def ask(self, rng: np.random.Generator) -> Float[np.ndarray, "P D"]:
        """A population to try."""

    @abstractmethod
    def tell(self, fitness: Float[np.ndarray, " P"]) -> None:
        """How fit the members of the last population were; more is better."""

    @abstractmethod
    def memory(self) -> dict[str, np.ndarray]:
        """Everything but the mean that the search goes on with."""

    @abstractmethod
    def deviation(self) -> float:
        """How far members are from the mean, as a root mean square over parameters."""


def antithetic(mean: np.ndarray, noise: np.ndarray) -> Float[np.ndarray, "P D"]:
    """mean + noise, then mean - noise (Geweke 1988): what the pair has in common cancels out."""
    return np.concatenate([mean + noise, mean - noise])


def centred_ranks(fitness: Float[np.ndarray, " P"]) -> Float[np.ndarray, " P"]:
    """Ranks from -1/2 (the worst) to 1/2 (the best); equals share the mean of their ranks.

    Salimans et al. 2017, https://arxiv.org/abs/1703.03864, section 2.1.
    """
    order = np.sort(fitness)
    low = np.searchsorted(order, fitness, side="left")
    high = np.searchsorted(order, fitness, side="right") - 1
    return (low + high) / (2 * max(len(fitness) - 1, 1)) - 0.5
