"""Covariance matrix adaptation, through pycma."""

from collections.abc import Mapping
from typing import Literal

import numpy as np
from jaxtyping import Float
from pydantic import Field, PositiveFloat, PositiveInt

from rlhf_core.environments.spaces import Spaces
from rlhf_core.evolution.search import Search
from rlhf_core.evolution.strategy import EvolutionStrategy

COUNTS = ("countiter", "countevals", "itereigenupdated")
SAMPLER_ARRAYS = ("C", "B", "D")
SAMPLER_COUNTS = ("last_update", "count_tell", "count_eigen")


class CMAES(EvolutionStrategy):
    """CMA-ES (Hansen 2016, https://arxiv.org/abs/1604.00772) by the package pycma.

    Learns the covariance of good parameters: for networks of a few hundred parameters, beyond
    which its matrices become slow.
    """

    kind: Literal["cma_es"] = "cma_es"
    population: PositiveInt = Field(32, ge=3)
    """P, members of a generation."""
    hidden: tuple[PositiveInt, ...] = (8,)
    """Widths of the hidden layers; none is a linear policy."""
    deviation: PositiveFloat = 0.5
    """sigma at the start."""

    def check_spaces(self, spaces: Spaces) -> None:
        """All are learned on."""

    def search(self, mean: Float[np.ndarray, " D"], memory: Mapping[str, np.ndarray]) -> Search:
        """pycma's strategy, with its state put back."""
        return _Adaptation(self, mean, memory)


class _Adaptation(Search):
    """All that pycma's next generation depends on is read from its attributes, as arrays."""

    def __init__(self, settings: CMAES, mean: np.ndarray, memory: Mapping[str, np.ndarray]) -> None:
        from cma import CMAEvolutionStrategy

        self._noise = np.random.default_rng(0)
        options = {
            "popsize": settings.population,
            "verbose": -9,
            # Its own noise would come from a global generator.
            "randn": lambda *shape: self._noise.standard_normal(shape),
            "seed": np.nan,
        }
        self._es = CMAEvolutionStrategy(np.array(mean), settings.deviation, options)
        self._members: list[np.ndarray] = []
        if memory and memory["countiter"] > 0:
            self._restore(memory)
        self.mean = np.array(self._es.mean)

    def ask(self, rng: np.random.Generator) -> np.ndarray:
        """Draw from the normal distribution that was learned."""
        self._noise = rng
        self._members = self._es.ask()
        return np.array(self._members)

    def tell(self, fitness: np.ndarray) -> None:
        """Fitness is maximised here and minimised there."""
        self._es.tell(self._members, (-fitness).tolist())
        self.mean = np.array(self._es.mean)

    def memory(self) -> dict[str, np.ndarray]:
        """Step size, covariance, evolution paths and counts."""
        es, sampler, step = self._es, self._es.sm, self._es.adapt_sigma.initialize(self._es)
        return {
            "sigma": np.array(float(es.sigma)),
            "pc": np.array(es.pc),
            "ps": np.array(step.ps),
            "ps_updated": np.array(int(step._ps_updated_iteration)),
            **{name: np.array(getattr(sampler, name)) for name in SAMPLER_ARRAYS},
            **{name: np.array(int(getattr(sampler, name))) for name in SAMPLER_COUNTS},
            **{name: np.array(int(getattr(es, name))) for name in COUNTS},
        }

    def _restore(self, memory: Mapping[str, np.ndarray]) -> None:
        es, mean = self._es, self._es.mean.copy()
        # What pycma makes in its first generation, its clock among others, must be there.
        self.ask(np.random.default_rng(0))
        self.tell(np.arange(self._es.popsize))
        es.mean, sampler, step = mean, es.sm, es.adapt_sigma
        es.sigma, es.pc = float(memory["sigma"]), np.array(memory["pc"])
        step.ps, step._ps_updated_iteration = np.array(memory["ps"]), int(memory["ps_updated"])
        for name in SAMPLER_ARRAYS:
            setattr(sampler, name, np.array(memory[name]))
        for name in SAMPLER_COUNTS:
            setattr(sampler, name, int(memory[name]))
        for name in COUNTS:
            setattr(es, name, int(memory[name]))

    def deviation(self) -> float:
        """Step size times the root mean square of the axes."""
        return float(self._es.sigma * np.sqrt(np.square(self._es.sm.D).mean()))
