"""OpenAI's evolution strategy."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from jaxtyping import Float
from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt

from rlhf_core.environments.spaces import Spaces
from rlhf_core.evolution.search import Population, SearchState, antithetic, centred_ranks
from rlhf_core.evolution.strategy import EvolutionStrategy


@dataclass(frozen=True)
class OpenAIESState(SearchState):
    """The mean and Adam's moments of the gradient."""

    first_moment: Float[np.ndarray, " moments"]
    """(D,), or empty where nothing but `ask` follows."""
    second_moment: Float[np.ndarray, " moments"]
    updates: int

    def arrays(self) -> dict[str, np.ndarray]:
        """Return Adam's moments and the number of updates."""
        return {
            "first_moment": self.first_moment,
            "second_moment": self.second_moment,
            "updates": np.array(self.updates),
        }


class OpenAIES(EvolutionStrategy):
    """OpenAI's evolution strategy (Salimans et al. 2017, https://arxiv.org/abs/1703.03864).

        gradient = 1 / (P sigma) sum over pairs of (u(+) - u(-)) noise - weight_decay mean

    with u the centred rank of a member's fitness, followed by Adam.
    """

    kind: Literal["openai_es"] = "openai_es"
    population: PositiveInt = Field(32, ge=2, multiple_of=2)
    """P, members of a generation, in pairs of opposite noise."""
    hidden: tuple[PositiveInt, ...] = (16,)
    """Widths of the hidden layers; none is a linear policy."""
    deviation: PositiveFloat = 0.1
    """sigma, standard deviation of the noise."""
    learning_rate: PositiveFloat = 0.05
    """Adam's step size."""
    weight_decay: NonNegativeFloat = 0.005
    """Pull of the parameters towards 0."""

    def check_spaces(self, spaces: Spaces) -> None:
        """Accept all spaces."""

    def start(self, mean: Float[np.ndarray, " D"]) -> SearchState:
        """Return the mean, and moments of 0."""
        zeros = np.zeros(len(mean))
        return OpenAIESState(np.array(mean, dtype=np.float64), zeros, zeros, 0)

    def restore(
        self, mean: Float[np.ndarray, " D"], arrays: Mapping[str, np.ndarray]
    ) -> SearchState:
        """Return the mean and the moments."""
        return OpenAIESState(
            np.array(mean, dtype=np.float64),
            np.asarray(arrays["first_moment"]),
            np.asarray(arrays["second_moment"]),
            int(arrays["updates"]),
        )

    def sampling_state(self, state: SearchState) -> SearchState:
        """Return the mean, without the moments."""
        assert isinstance(state, OpenAIESState)
        return replace(state, first_moment=np.empty(0), second_moment=np.empty(0))

    def ask(self, state: SearchState, rng: np.random.Generator) -> Population:
        """Draw mean + sigma * noise and mean - sigma * noise; noise ~ N(0, 1)."""
        noise = rng.standard_normal((self.population // 2, len(state.mean)))
        return Population(antithetic(state.mean, self.deviation * noise), noise)

    def tell(
        self, state: SearchState, population: Population, fitness: Float[np.ndarray, " P"]
    ) -> SearchState:
        """Estimate the gradient, and take one step of Adam (Kingma and Ba 2015) along it."""
        assert isinstance(state, OpenAIESState)
        positive, negative = np.split(centred_ranks(fitness), 2)
        gradient = (positive - negative) @ population.noise / (self.population * self.deviation)
        gradient -= self.weight_decay * state.mean
        updates = state.updates + 1
        first = state.first_moment + 0.1 * (gradient - state.first_moment)
        second = state.second_moment + 0.001 * (np.square(gradient) - state.second_moment)
        direction = first / (1 - 0.9**updates)
        scale = np.sqrt(second / (1 - 0.999**updates)) + 1e-8
        mean = state.mean + self.learning_rate * direction / scale
        return OpenAIESState(mean, first, second, updates)

    def search_std(self, state: SearchState) -> float:
        """Return sigma."""
        return float(self.deviation)
