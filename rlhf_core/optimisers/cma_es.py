"""Covariance matrix adaptation, through pycma."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from jaxtyping import Float
from pydantic import Field, PositiveFloat, PositiveInt

from rlhf_core.environments.factory import Environment
from rlhf_core.environments.spaces import Spaces
from rlhf_core.evolution.search import Population, SearchState
from rlhf_core.evolution.strategy import EvolutionStrategy

if TYPE_CHECKING:
    from rlhf_core.evolution.pycma import Pycma


@dataclass(frozen=True)
class CMAESState(SearchState):
    """The mean, and the attributes of pycma that its next generation depends on."""

    attributes: Mapping[str, np.ndarray]
    """Step size, covariance, evolution paths and counts, by pycma's names."""

    def arrays(self) -> dict[str, np.ndarray]:
        """Return pycma's attributes."""
        return dict(self.attributes)


class CMAES(EvolutionStrategy):
    """CMA-ES (Hansen 2016, https://arxiv.org/abs/1604.00772) by the package pycma.

        members ~ mean + sigma N(0, C)

    The mean moves to a weighted mean of the best members, C to their covariance, and sigma by the
    length of the evolution path. Its matrices are slow beyond a few hundred parameters.
    """

    kind: Literal["cma_es"] = "cma_es"
    population: PositiveInt = Field(32, ge=3)
    """P, members of a generation."""
    hidden: tuple[PositiveInt, ...] = (8,)
    """Widths of the hidden layers; none is a linear policy."""
    deviation: PositiveFloat = 0.5
    """sigma at the start."""

    def memory(self, environment: Environment) -> Mapping[str, int]:
        """Return what every strategy needs, and the covariance with its eigenvectors."""
        size = self.size(environment)
        return {**super().memory(environment), "hidden": 2 * 8 * size * size}

    def check_spaces(self, spaces: Spaces) -> None:
        """Accept all spaces."""

    def start(self, mean: Float[np.ndarray, " D"]) -> SearchState:
        """Return pycma's first state."""
        return self._state(self._pycma(mean, {}))

    def restore(
        self, mean: Float[np.ndarray, " D"], arrays: Mapping[str, np.ndarray]
    ) -> SearchState:
        """Return the mean and pycma's attributes."""
        return CMAESState(np.array(mean, dtype=np.float64), arrays)

    def sampling_state(self, state: SearchState) -> SearchState:
        """Return the whole state."""
        return state

    def ask(self, state: SearchState, rng: np.random.Generator) -> Population:
        """Draw from N(mean, sigma^2 C)."""
        return self._pycma(state.mean, state.arrays()).ask(rng.standard_normal)

    def tell(
        self, state: SearchState, population: Population, fitness: Float[np.ndarray, " P"]
    ) -> SearchState:
        """Return the state after pycma's update."""
        pycma = self._pycma(state.mean, state.arrays())
        pycma.tell(population, fitness)
        return self._state(pycma)

    def search_std(self, state: SearchState) -> float:
        """Return sigma times the root mean square of the axes of C."""
        arrays = state.arrays()
        return float(float(arrays["sigma"]) * np.sqrt(np.square(arrays["D"]).mean()))

    def _pycma(self, mean: np.ndarray, arrays: Mapping[str, np.ndarray]) -> "Pycma":
        from rlhf_core.evolution.pycma import Pycma

        return Pycma(mean, arrays, self.population, self.deviation)

    def _state(self, pycma: "Pycma") -> SearchState:
        return CMAESState(pycma.mean(), pycma.attributes())
