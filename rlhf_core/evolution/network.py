"""Policies as flat vectors: P members evaluated by one product a layer."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from gymnasium import spaces as gym_spaces
from jaxtyping import Float, Shaped

from rlhf_core.environments.spaces import Spaces, encode

Layers = list[tuple[np.ndarray, np.ndarray]]
"""Weights (P, in, out) and biases (P, 1, out) of each layer."""


@dataclass(frozen=True)
class PolicyNetwork:
    """A dense policy: tanh layers, then one number for each category or each number acted with.

    Categories: the largest output of each group. Bits: the sign. Numbers: output 0 is the middle
    of the bounds, -1 and 1 are the bounds, beyond them it is cut off.
    """

    spaces: Spaces
    hidden: tuple[int, ...]

    @property
    def widths(self) -> tuple[int, ...]:
        """Numbers between layers, features and outputs included."""
        return self._features, *self.hidden, sum(self._groups)

    @property
    def size(self) -> int:
        """D, parameters of one member."""
        return sum((fan_in + 1) * fan_out for fan_in, fan_out in pairwise(self.widths))

    def initial(self, rng: np.random.Generator) -> Float[np.ndarray, " D"]:
        """Hidden layers from N(0, 1 / fan in); the last one 0, so that nothing is preferred."""
        parts = []
        last = len(self.hidden)
        for layer, (fan_in, fan_out) in enumerate(pairwise(self.widths)):
            scale = 0.0 if layer == last else fan_in**-0.5
            parts += [scale * rng.standard_normal(fan_in * fan_out), np.zeros(fan_out)]
        return np.concatenate(parts)

    def layers(self, population: Float[np.ndarray, "P D"]) -> Layers:
        """Parameters of all members, layer by layer."""
        members, found, start = len(population), [], 0
        flat = population.astype(np.float32)
        for fan_in, fan_out in pairwise(self.widths):
            middle, stop = start + fan_in * fan_out, start + (fan_in + 1) * fan_out
            weights = flat[:, start:middle].reshape(members, fan_in, fan_out)
            found.append((weights, flat[:, middle:stop].reshape(members, 1, fan_out)))
            start = stop
        return found

    def features(self, observations: Shaped[np.ndarray, "B ..."]) -> Float[np.ndarray, "B F"]:
        """Observations as numbers, categories one-hot."""
        return encode(self.spaces.observation, observations)

    def outputs(
        self, layers: Layers, features: Float[np.ndarray, "P E F"]
    ) -> Float[np.ndarray, "P E O"]:
        """What each member makes of its own observations."""
        hidden = features
        for layer, (weights, biases) in enumerate(layers):
            hidden = np.matmul(hidden, weights)
            hidden += biases
            if layer < len(self.hidden):
                np.tanh(hidden, out=hidden)
        return hidden

    def actions(self, outputs: Float[np.ndarray, "B O"]) -> Shaped[np.ndarray, "B ..."]:
        """Outputs as actions of the environment."""
        space = self.spaces.action
        if isinstance(space, gym_spaces.Box):
            shape = (-1, *space.shape)
            middle, reach = (space.high + space.low) / 2, (space.high - space.low) / 2
            acted = middle + reach * np.clip(outputs, -1, 1).reshape(shape)
            return np.clip(acted, space.low, space.high).astype(space.dtype, copy=False)
        if isinstance(space, gym_spaces.MultiBinary):
            return (outputs > 0).astype(space.dtype)
        if isinstance(space, gym_spaces.Discrete):
            return outputs.argmax(axis=1)
        ends = np.cumsum(self._groups)[:-1]
        groups = np.split(outputs, ends, axis=1)
        return np.stack([group.argmax(axis=1) for group in groups], axis=1)

    @property
    def _features(self) -> int:
        space = self.spaces.observation
        return encode(space, np.asarray(space.sample())[None]).shape[1]

    @property
    def _groups(self) -> list[int]:
        """Outputs of each group of categories, or one each."""
        space = self.spaces.action
        if isinstance(space, gym_spaces.Discrete):
            return [int(space.n)]
        if isinstance(space, gym_spaces.MultiDiscrete):
            return [int(size) for size in space.nvec]
        return [1] * int(np.prod(space.shape or ()))
