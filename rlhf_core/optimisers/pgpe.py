"""Policy gradients with parameter-based exploration."""

from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal

import numpy as np
from jaxtyping import Float
from pydantic import Field, PositiveFloat, PositiveInt

from rlhf_core.environments.spaces import Spaces
from rlhf_core.evolution.search import Search, antithetic, centred_ranks
from rlhf_core.evolution.strategy import EvolutionStrategy

MOMENTUM = 0.9
MOST_CHANGE = 0.2
"""Of a deviation in one generation."""


class PGPE(EvolutionStrategy):
    """PGPE with symmetric samples and ClipUp (Toklu et al. 2020, https://arxiv.org/abs/2008.02387).

        grad mean  = 1 / n sum over pairs of (u(+) - u(-)) / 2 * noise
        grad sigma = 1 / n sum over pairs of ((u(+) + u(-)) / 2 - b) (noise^2 - sigma^2) / sigma

    with n pairs, noise ~ N(0, sigma^2) with a sigma of its own for each parameter (Sehnke et al.
    2010), u centred ranks and b their mean. ClipUp moves the mean by normalised gradients with
    momentum, never further than `fastest` in one generation.
    """

    drawn_from: ClassVar[Sequence[str] | None] = ("sigma",)
    kind: Literal["pgpe"] = "pgpe"
    population: PositiveInt = Field(64, ge=2, multiple_of=2)
    """P, members of a generation, in pairs of opposite noise."""
    hidden: tuple[PositiveInt, ...] = (16,)
    """Widths of the hidden layers; none is a linear policy."""
    deviation: PositiveFloat = 0.3
    """sigma of every parameter at the start."""
    fastest: PositiveFloat = 0.6
    """Longest step of the mean in a generation, in parameters' own units; half of it is the step
    size."""
    deviation_learning_rate: PositiveFloat = 0.1
    """Step size of the deviations."""

    def check_spaces(self, spaces: Spaces) -> None:
        """All are learned on."""

    def search(self, mean: Float[np.ndarray, " D"], memory: Mapping[str, np.ndarray]) -> Search:
        """ClipUp on the mean, plain gradients on the deviations."""
        return _Exploration(self, mean, memory)


class _Exploration(Search):
    def __init__(self, settings: PGPE, mean: np.ndarray, memory: Mapping[str, np.ndarray]) -> None:
        self.settings, self.mean = settings, np.array(mean, dtype=np.float64)
        start = np.full_like(self.mean, settings.deviation)
        self._sigma = np.array(memory.get("sigma", start))
        self._velocity = np.array(memory.get("velocity", np.zeros_like(self.mean)))
        self._noise = np.zeros((1, len(self.mean)))

    def ask(self, rng: np.random.Generator) -> np.ndarray:
        """Pairs around the mean."""
        shape = (self.settings.population // 2, len(self.mean))
        self._noise = self._sigma * rng.standard_normal(shape)
        return antithetic(self.mean, self._noise)

    def tell(self, fitness: np.ndarray) -> None:
        """Move mean and deviations."""
        rule, ranks = self.settings, centred_ranks(fitness)
        plus, minus = np.split(ranks, 2)
        count = len(plus)
        slope = (plus - minus) / 2 @ self._noise / count
        widened = (np.square(self._noise) - np.square(self._sigma)) / self._sigma
        wider = ((plus + minus) / 2 - ranks.mean()) @ widened / count
        norm = np.linalg.norm(slope)
        if norm > 0:
            self._velocity = MOMENTUM * self._velocity + rule.fastest / 2 * slope / norm
        speed = np.linalg.norm(self._velocity)
        if speed > rule.fastest:
            self._velocity *= rule.fastest / speed
        self.mean = self.mean + self._velocity
        change = rule.deviation_learning_rate * wider
        most = MOST_CHANGE * self._sigma
        self._sigma = self._sigma + np.clip(change, -most, most)

    def memory(self) -> dict[str, np.ndarray]:
        """Deviations and velocity."""
        return {"sigma": self._sigma.copy(), "velocity": self._velocity.copy()}

    def deviation(self) -> float:
        """Root mean square over parameters."""
        return float(np.sqrt(np.square(self._sigma).mean()))
