"""Augmented random search through sb3-contrib."""

from collections.abc import Mapping
from typing import Literal

import numpy as np
from jaxtyping import Float
from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from rlhf_core.environments.spaces import Spaces
from rlhf_core.evolution.search import Search
from rlhf_core.evolution.strategy import EvolutionStrategy
from rlhf_core.stable_baselines.contrib import expect_contrib


class SB3ARS(EvolutionStrategy):
    """ARS (Mania et al. 2018, https://arxiv.org/abs/1803.07055) as sb3-contrib takes its steps.

    The policy, its starts and the reward are those of `ars`; the draws, the step and the defaults
    are sb3-contrib's. Needs the extra `contrib`.
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
        """All are learned on, where the package is installed."""
        expect_contrib(self.kind)

    def search(self, mean: Float[np.ndarray, " D"], memory: Mapping[str, np.ndarray]) -> Search:
        """Finite differences along random directions."""
        expect_contrib(self.kind)
        from rlhf_core.stable_baselines.random_search import Contributed

        directions = self.population // 2
        best = self.best or directions
        return Contributed(mean, directions, best, self.learning_rate, self.deviation)
