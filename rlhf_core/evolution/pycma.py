"""pycma's stateful strategy, built from arrays for one call of `ask` or `tell`."""

from collections.abc import Callable, Mapping

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
        self._draw: Draw = np.random.default_rng(0).standard_normal
        options = {
            "popsize": population,
            "verbose": -9,
            # pycma would draw from a global generator.
            "randn": lambda *shape: self._draw(shape),
            "seed": np.nan,
            # Beyond 300 parameters pycma would choose another adaptation, with other attributes.
            "AdaptSigma": CMAAdaptSigmaCSA,
        }
        self._es = CMAEvolutionStrategy(np.array(mean), sigma, options)
        if attributes and attributes["countiter"] > 0:
            self._restore(attributes)

    def ask(self, draw: Draw) -> Population:
        """Draw a population.

        Args:
            draw: the source of standard normal numbers.
        """
        noise: list[np.ndarray] = []

        def recorded(shape: tuple[int, ...]) -> np.ndarray:
            noise.append(draw(shape))
            return noise[-1].copy()

        self._draw = recorded
        members = np.array(self._es.ask())
        return Population(members, np.concatenate(noise))

    def tell(self, population: Population, fitness: Float[np.ndarray, " P"]) -> None:
        """Update the distribution. Fitness is maximised here and minimised by pycma."""
        # pycma knows only members that it has drawn itself.
        self._draw = lambda shape: population.noise.reshape(shape).copy()
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
        es, mean = self._es, self._es.mean.copy()
        # Some objects of pycma, its clock among others, are made in its first generation.
        es.tell(es.ask(), (-np.arange(es.popsize)).tolist())
        es.mean, sampler, step = mean, es.sm, es.adapt_sigma
        es.sigma, es.pc = float(attributes["sigma"]), np.array(attributes["pc"])
        step.ps = np.array(attributes["ps"])
        step._ps_updated_iteration = int(attributes["ps_updated"])
        for name in SAMPLER_ARRAYS:
            setattr(sampler, name, np.array(attributes[name]))
        for name in SAMPLER_COUNTS:
            setattr(sampler, name, int(attributes[name]))
        for name in COUNTS:
            setattr(es, name, int(attributes[name]))
