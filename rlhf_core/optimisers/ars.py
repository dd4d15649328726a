"""Augmented random search."""

from collections.abc import Mapping
from typing import Literal

import numpy as np
from jaxtyping import Float
from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from rlhf_core.environments.spaces import Spaces
from rlhf_core.evolution.search import MeanState, Population, SearchState, antithetic
from rlhf_core.evolution.strategy import EvolutionStrategy


class ARS(EvolutionStrategy):
    """Augmented random search, V2-t (Mania et al. 2018, https://arxiv.org/abs/1803.07055).

        mean <- mean + learning_rate / (b sigma_R) sum over the b best directions of
                (R(+) - R(-)) noise

    The best directions are those with the largest max(R(+), R(-)); sigma_R is the standard
    deviation of the returns in the sum.
    """

    kind: Literal["ars"] = "ars"
    population: PositiveInt = Field(32, ge=2, multiple_of=2)
    """P, members of a generation: two for each direction."""
    best: PositiveInt | None = None
    """b, directions that are used; None: all."""
    deviation: PositiveFloat = 0.03
    """Standard deviation of the noise."""
    learning_rate: PositiveFloat = 0.02
    """Step size."""

    @model_validator(mode="after")
    def _best_of_all(self) -> "ARS":
        if self.best is not None and self.best > self.population // 2:
            raise ValueError(
                f"best: expected at most {self.population // 2}, the directions of a population "
                f"of {self.population}, actual: {self.best}"
            )
        return self

    def check_spaces(self, spaces: Spaces) -> None:
        """Accept all spaces."""

    def start(self, mean: Float[np.ndarray, " D"]) -> SearchState:
        """Return the mean."""
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
        """Draw mean + deviation * noise and mean - deviation * noise; noise ~ N(0, 1)."""
        noise = rng.standard_normal((self.population // 2, len(state.mean)))
        return Population(antithetic(state.mean, self.deviation * noise), noise)

    def tell(
        self, state: SearchState, population: Population, fitness: Float[np.ndarray, " P"]
    ) -> SearchState:
        """Move the mean along the finite differences of the best directions."""
        pairs = fitness.reshape(2, -1)
        count = self.best or pairs.shape[1]
        best = np.argsort(-pairs.max(axis=0), kind="stable")[:count]
        positive, negative = used = pairs[:, best]
        # Equal returns give no direction, and nothing to divide by.
        std = used.std() or 1.0
        gradient = (positive - negative) @ population.noise[best] / (count * std)
        return MeanState(state.mean + self.learning_rate * gradient)

    def search_std(self, state: SearchState) -> float:
        """Return the standard deviation of the noise."""
        return float(self.deviation)
