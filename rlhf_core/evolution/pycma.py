"""pycma's stateful strategy, built from arrays for one call of `ask` or `tell`."""

from collections.abc import Callable, Mapping
from copy import deepcopy
from functools import lru_cache

import numpy as np
from cma import CMAEvolutionStrategy
from cma.sigma_adaptation import CMAAdaptSigmaCSA
from jaxtyping import Float

from rlhf_core.evolution.search import Population

COUNTS = ("countiter", "countevals", "itereigenupdated")
SAMPLER_ARRAYS = ("C", "B", "D")
SAMPLER_COUNTS = ("last_update", "count_tell", "count_eigen")

Draw = Callable[[tuple[int, ...]], np.ndarray]
"""Standard normal numbers of a shape."""


class _Normal:
    """Standard normal numbers from a source that can be exchanged; a copy has a source of its own.

    pycma would draw them from a global generator.
    """

    def __init__(self) -> None:
        self.draw: Draw = np.random.default_rng(0).standard_normal

    def __call__(self, *shape: int) -> np.ndarray:
        return self.draw(shape)


def _strategy(mean: Float[np.ndarray, " D"], population: int, sigma: float) -> CMAEvolutionStrategy:
    options = {
        "popsize": population,
        "verbose": -9,
        "randn": _Normal(),
        "seed": np.nan,
        # Beyond 300 parameters pycma would choose another adaptation, with other attributes.
        "AdaptSigma": CMAAdaptSigmaCSA,
    }
    return CMAEvolutionStrategy(mean, sigma, options)


@lru_cache(maxsize=8)
def _after_one_generation(parameters: int, population: int, sigma: float) -> CMAEvolutionStrategy:
    """A strategy with the objects that pycma makes in its first generation, its clock among others.

    It is made once, to be copied: that takes a seventh of the time.
    """
    es = _strategy(np.zeros(parameters), population, sigma)
    es.tell(es.ask(), (-np.arange(es.popsize)).tolist())
    return es


class Pycma:
    """One `CMAEvolutionStrategy`, with all that its next generation depends on as arrays."""

    def __init__(
        self,
        mean: Float[np.ndarray, " D"],
        attributes: Mapping[str, np.ndarray],
        population: int,
        sigma: float,
    ) -> None:
        """Build the strategy.

        Args:
            mean: centre of the population.
            attributes: what `attributes` returned, or nothing at the start of a search.
            population: members of a generation.
            sigma: step size at the start of a search.
        """
        if attributes and attributes["countiter"] > 0:
            self._es = deepcopy(_after_one_generation(len(mean), population, sigma))
            self._es.mean = np.array(mean)
            self._restore(attributes)
        else:
            self._es = _strategy(np.array(mean), population, sigma)
        self._normal: _Normal = self._es.opts["randn"]

    def ask(self, draw: Draw) -> Population:
        """Draw a population.

        Args:
            draw: the source of standard normal numbers.
        """
        noise: list[np.ndarray] = []

        def recorded(shape: tuple[int, ...]) -> np.ndarray:
            noise.append(draw(shape))
            return noise[-1].copy()

        self._normal.draw = recorded
        members = np.array(self._es.ask())
        return Population(members, np.concatenate(noise))

    def tell(self, population: Population, fitness: Float[np.ndarray, " P"]) -> None:
        """Update the distribution. Fitness is maximised here and minimised by pycma."""
        # pycma knows only members that it has drawn itself.
        self._normal.draw = lambda shape: population.noise.reshape(shape).copy()
        self._es.tell(self._es.ask(), (-fitness).tolist())

    def mean(self) -> Float[np.ndarray, " D"]:
        """Return the centre of the next population."""
        return np.array(self._es.mean)

    def attributes(self) -> dict[str, np.ndarray]:
        """Return step size, covariance, evolution paths and counts, by pycma's names."""
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

    def _restore(self, attributes: Mapping[str, np.ndarray]) -> None:
        es = self._es
        sampler, step = es.sm, es.adapt_sigma
        es.sigma, es.pc = float(attributes["sigma"]), np.array(attributes["pc"])
        step.ps = np.array(attributes["ps"])
        step._ps_updated_iteration = int(attributes["ps_updated"])
        for name in SAMPLER_ARRAYS:
            setattr(sampler, name, np.array(attributes[name]))
        for name in SAMPLER_COUNTS:
            setattr(sampler, name, int(attributes[name]))
        for name in COUNTS:
            setattr(es, name, int(attributes[name]))
