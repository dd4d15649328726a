"""Policy gradients with parameter-based exploration."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from jaxtyping import Float
from pydantic import Field, PositiveFloat, PositiveInt

from rlhf_core.environments.spaces import Spaces
from rlhf_core.evolution.search import Population, SearchState, antithetic, centred_ranks
from rlhf_core.evolution.strategy import EvolutionStrategy

MOMENTUM = 0.9
LARGEST_CHANGE = 0.2
"""Largest relative change of a standard deviation in one generation."""


@dataclass(frozen=True)
class PGPEState(SearchState):
    """Mean and standard deviation of every parameter, and ClipUp's velocity of the mean."""

    sigma: Float[np.ndarray, " D"]
    velocity: Float[np.ndarray, " velocity"]
    """(D,), or empty where nothing but `ask` follows."""

    def arrays(self) -> dict[str, np.ndarray]:
        """Return standard deviations and velocity."""
        return {"sigma": self.sigma, "velocity": self.velocity}


class PGPE(EvolutionStrategy):
    """PGPE with symmetric samples and ClipUp (Toklu et al. 2020, https://arxiv.org/abs/2008.02387).

        grad mean  = 1 / n sum over pairs of (u(+) - u(-)) / 2 * noise
        grad sigma = 1 / n sum over pairs of ((u(+) + u(-)) / 2 - b) (noise^2 - sigma^2) / sigma

    with n pairs, noise ~ N(0, sigma^2) with a sigma of its own for each parameter (Sehnke et al.
    2010), u centred ranks and b their mean. ClipUp moves the mean by normalised gradients with
    momentum, never further than `fastest` in one generation.
    """

    kind: Literal["pgpe"] = "pgpe"
    population: PositiveInt = Field(64, ge=2, multiple_of=2)
    """P, members of a generation, in pairs of opposite noise."""
    hidden: tuple[PositiveInt, ...] = (16,)
    """Widths of the hidden layers; none is a linear policy."""
    deviation: PositiveFloat = 0.3
    """sigma of every parameter at the start."""
    fastest: PositiveFloat = 0.6
    """Longest step of the mean in a generation, in parameters' own units; half of it is the step
    size."""
    deviation_learning_rate: PositiveFloat = 0.1
    """Step size of the standard deviations."""

    def check_spaces(self, spaces: Spaces) -> None:
        """Accept all spaces."""

    def start(self, mean: Float[np.ndarray, " D"]) -> SearchState:
        """Return the mean, one sigma for all parameters, and no velocity."""
        centre = np.array(mean, dtype=np.float64)
        return PGPEState(centre, np.full_like(centre, self.deviation), np.zeros_like(centre))

    def restore(
        self, mean: Float[np.ndarray, " D"], arrays: Mapping[str, np.ndarray]
    ) -> SearchState:
        """Return mean, standard deviations and velocity."""
        centre = np.array(mean, dtype=np.float64)
        return PGPEState(centre, np.asarray(arrays["sigma"]), np.asarray(arrays["velocity"]))

    def sampling_state(self, state: SearchState) -> SearchState:
        """Return mean and standard deviations, without the velocity."""
        assert isinstance(state, PGPEState)
        return replace(state, velocity=np.empty(0))

    def ask(self, state: SearchState, rng: np.random.Generator) -> Population:
        """Draw mean + noise and mean - noise; noise ~ N(0, sigma^2)."""
        assert isinstance(state, PGPEState)
        noise = state.sigma * rng.standard_normal((self.population // 2, len(state.mean)))
        return Population(antithetic(state.mean, noise), noise)

    def tell(
        self, state: SearchState, population: Population, fitness: Float[np.ndarray, " P"]
    ) -> SearchState:
        """Move the mean by ClipUp, and the standard deviations along their gradient."""
        assert isinstance(state, PGPEState)
        ranks, noise, sigma = centred_ranks(fitness), population.noise, state.sigma
        positive, negative = np.split(ranks, 2)
        pairs = len(positive)
        gradient = (positive - negative) / 2 @ noise / pairs
        curvature = (np.square(noise) - np.square(sigma)) / sigma
        sigma_gradient = ((positive + negative) / 2 - ranks.mean()) @ curvature / pairs
        velocity = self._clip_up(state.velocity, gradient)
        change = self.deviation_learning_rate * sigma_gradient
        largest = LARGEST_CHANGE * sigma
        return PGPEState(
            state.mean + velocity, sigma + np.clip(change, -largest, largest), velocity
        )

    def _clip_up(
        self, velocity: Float[np.ndarray, " D"], gradient: Float[np.ndarray, " D"]
    ) -> Float[np.ndarray, " D"]:
        """Return the velocity after one step of ClipUp.

        v <- momentum v + fastest / 2 gradient / |gradient|, scaled down to |v| <= fastest
        """
        norm = np.linalg.norm(gradient)
        if norm > 0:
            velocity = MOMENTUM * velocity + self.fastest / 2 * gradient / norm
        speed = np.linalg.norm(velocity)
        return velocity * (self.fastest / speed) if speed > self.fastest else velocity

    def search_std(self, state: SearchState) -> float:
        """Return the root mean square of sigma over parameters."""
        assert isinstance(state, PGPEState)
        return float(np.sqrt(np.square(state.sigma).mean()))
