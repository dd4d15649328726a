"""Augmented random search through sb3-contrib."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

import numpy as np
from jaxtyping import Float
from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from rlhf_core.environments.spaces import Spaces
from rlhf_core.evolution.search import MeanState, Population, SearchState
from rlhf_core.evolution.strategy import EvolutionStrategy
from rlhf_core.seeding import integer
from rlhf_core.stable_baselines.contrib import expect_contrib

if TYPE_CHECKING:
    from rlhf_core.stable_baselines.random_search import UnplayedARS


class SB3ARS(EvolutionStrategy):
    """ARS (Mania et al. 2018, https://arxiv.org/abs/1803.07055) as sb3-contrib takes its steps.

    The policy and its evaluation are those of `ars`; the draws, the step and the defaults are
    sb3-contrib's. Needs the extra `contrib`.
    """

    kind: Literal["sb3_ars"] = "sb3_ars"
    population: PositiveInt = Field(16, ge=2, multiple_of=2)
    """P, members of a generation: two for each direction."""
    best: PositiveInt | None = None
    """Directions that are used; None: all."""
    deviation: PositiveFloat = 0.05
    """Standard deviation of the noise."""
    learning_rate: PositiveFloat = 0.02
    """Step size."""

    @model_validator(mode="after")
    def _best_of_all(self) -> "SB3ARS":
        if self.best is not None and self.best > self.population // 2:
            raise ValueError(
                f"best: expected at most {self.population // 2}, the directions of a population "
                f"of {self.population}, actual: {self.best}"
            )
        return self

    def check_spaces(self, spaces: Spaces) -> None:
        """Accept all spaces, if the package is installed."""
        expect_contrib(self.kind)

    def start(self, mean: Float[np.ndarray, " D"]) -> SearchState:
        """Return the mean."""
        expect_contrib(self.kind)
        return MeanState(np.array(mean, dtype=np.float64))

    def restore(
        self, mean: Float[np.ndarray, " D"], arrays: Mapping[str, np.ndarray]
    ) -> SearchState:
        """Return the mean."""
        return self.start(mean)

    def sampling_state(self, state: SearchState) -> SearchState:
        """Return the mean."""
        return state

    def ask(self, state: SearchState, rng: np.random.Generator) -> Population:
        """Draw sb3-contrib's candidates; the noise is the seed of torch's generator."""
        from rlhf_core.stable_baselines.random_search import candidates

        seed = integer(rng)
        return Population(candidates(self._model(state), state.mean, seed), np.array(seed))

    def tell(
        self, state: SearchState, population: Population, fitness: Float[np.ndarray, " P"]
    ) -> SearchState:
        """Move the mean by sb3-contrib's step."""
        from rlhf_core.stable_baselines.random_search import updated_mean

        seed = int(population.noise)
        return MeanState(updated_mean(self._model(state), state.mean, seed, fitness))

    def search_std(self, state: SearchState) -> float:
        """Return the standard deviation of the noise."""
        return float(self.deviation)

    def _model(self, state: SearchState) -> "UnplayedARS":
        expect_contrib(self.kind)
        from rlhf_core.stable_baselines.random_search import UnplayedARS

        directions = self.population // 2
        best = self.best or directions
        return UnplayedARS(len(state.mean), directions, best, self.learning_rate, self.deviation)
