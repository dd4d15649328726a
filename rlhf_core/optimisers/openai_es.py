"""Evolution strategies as scalable as OpenAI made them."""

from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal

import numpy as np
from jaxtyping import Float
from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt

from rlhf_core.environments.spaces import Spaces
from rlhf_core.evolution.search import Search, antithetic, centred_ranks
from rlhf_core.evolution.strategy import EvolutionStrategy


class OpenAIES(EvolutionStrategy):
    """OpenAI's evolution strategy (Salimans et al. 2017, https://arxiv.org/abs/1703.03864).

        g = 1 / (P sigma) sum over pairs of (u(+) - u(-)) noise - weight_decay mean

    with u the centred rank of a member's fitness, followed by Adam.
    """

    drawn_from: ClassVar[Sequence[str] | None] = ()
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
        """All are learned on."""

    def search(self, mean: Float[np.ndarray, " D"], memory: Mapping[str, np.ndarray]) -> Search:
        """Adam on an estimated gradient."""
        return _Ascent(self, mean, memory)


class _Ascent(Search):
    def __init__(
        self, settings: OpenAIES, mean: np.ndarray, memory: Mapping[str, np.ndarray]
    ) -> None:
        self.settings, self.mean = settings, np.array(mean, dtype=np.float64)
        nothing = np.zeros_like(self.mean)
        self._first = np.array(memory.get("first_moment", nothing))
        self._second = np.array(memory.get("second_moment", nothing))
        self._updates = int(memory.get("updates", np.array(0)))
        self._noise = nothing[None]

    def ask(self, rng: np.random.Generator) -> np.ndarray:
        """Pairs around the mean."""
        self._noise = rng.standard_normal((self.settings.population // 2, len(self.mean)))
        return antithetic(self.mean, self.settings.deviation * self._noise)

    def tell(self, fitness: np.ndarray) -> None:
        """Adam (Kingma and Ba 2015) with its usual constants."""
        rule = self.settings
        better, worse = np.split(centred_ranks(fitness), 2)
        gradient = (better - worse) @ self._noise / (len(fitness) * rule.deviation)
        gradient -= rule.weight_decay * self.mean
        self._updates += 1
        self._first += 0.1 * (gradient - self._first)
        self._second += 0.001 * (np.square(gradient) - self._second)
        first = self._first / (1 - 0.9**self._updates)
        second = self._second / (1 - 0.999**self._updates)
        self.mean = self.mean + rule.learning_rate * first / (np.sqrt(second) + 1e-8)

    def memory(self) -> dict[str, np.ndarray]:
        """Adam's moments."""
        return {
            "first_moment": self._first.copy(),
            "second_moment": self._second.copy(),
            "updates": np.array(self._updates),
        }

    def deviation(self) -> float:
        """As given."""
        return float(self.settings.deviation)
