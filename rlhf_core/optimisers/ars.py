"""Augmented random search."""

from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal

import numpy as np
from jaxtyping import Float
from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from rlhf_core.environments.spaces import Spaces
from rlhf_core.evolution.search import Search, antithetic
from rlhf_core.evolution.strategy import EvolutionStrategy


class ARS(EvolutionStrategy):
    """Augmented random search, V2-t (Mania et al. 2018, https://arxiv.org/abs/1803.07055).

        mean <- mean + learning_rate / (b sigma_R) sum over the b best directions of
                (R(+) - R(-)) noise

    A direction is as good as the better one of its two members; sigma_R is the standard deviation
    of the returns in the sum.
    """

    drawn_from: ClassVar[Sequence[str] | None] = ()
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
        """All are learned on."""

    def search(self, mean: Float[np.ndarray, " D"], memory: Mapping[str, np.ndarray]) -> Search:
        """Finite differences along random directions."""
        return _Differences(self, mean)


class _Differences(Search):
    def __init__(self, settings: ARS, mean: np.ndarray) -> None:
        self.settings, self.mean = settings, np.array(mean, dtype=np.float64)
        self._noise = np.zeros((1, len(self.mean)))

    def ask(self, rng: np.random.Generator) -> np.ndarray:
        """Pairs around the mean."""
        self._noise = rng.standard_normal((self.settings.population // 2, len(self.mean)))
        return antithetic(self.mean, self.settings.deviation * self._noise)

    def tell(self, fitness: np.ndarray) -> None:
        """A step along the differences."""
        pairs = fitness.reshape(2, -1)
        count = self.settings.best or pairs.shape[1]
        best = np.argsort(-pairs.max(axis=0), kind="stable")[:count]
        used = pairs[:, best]
        # Returns that are all alike tell no direction.
        spread = used.std() or 1.0
        step = (used[0] - used[1]) @ self._noise[best] / (count * spread)
        self.mean = self.mean + self.settings.learning_rate * step

    def memory(self) -> dict[str, np.ndarray]:
        """Nothing."""
        return {}

    def deviation(self) -> float:
        """As given."""
        return float(self.settings.deviation)
