"""Policies as flat vectors: P members are evaluated by one matrix product a layer."""

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
    """A dense policy: tanh layers, then one output for each category or number of an action.

    An action of categories is the largest output of each group, a bit is the sign of its output.
    A bounded number is scaled so that outputs -1 and 1 are its bounds, and clipped to them.
    """

    spaces: Spaces
    hidden: tuple[int, ...]

    @property
    def widths(self) -> tuple[int, ...]:
        """Widths of all layers, features and outputs included."""
        return self._features, *self.hidden, sum(self._groups)

    @property
    def size(self) -> int:
        """D, the number of parameters of one member."""
        return sum((fan_in + 1) * fan_out for fan_in, fan_out in pairwise(self.widths))

    def initial(self, rng: np.random.Generator) -> Float[np.ndarray, " D"]:
        """Draw hidden layers from N(0, 1 / fan in); the last layer is 0, so all outputs are."""
        parts = []
        last = len(self.hidden)
        for layer, (fan_in, fan_out) in enumerate(pairwise(self.widths)):
            scale = 0.0 if layer == last else fan_in**-0.5
            parts += [scale * rng.standard_normal(fan_in * fan_out), np.zeros(fan_out)]
        return np.concatenate(parts)

    def layers(self, population: Float[np.ndarray, "P D"]) -> Layers:
        """Return the parameters of all members, layer by layer."""
        members, layers, start = len(population), [], 0
        flat = population.astype(np.float32)
        for fan_in, fan_out in pairwise(self.widths):
            middle, stop = start + fan_in * fan_out, start + (fan_in + 1) * fan_out
            weights = flat[:, start:middle].reshape(members, fan_in, fan_out)
            layers.append((weights, flat[:, middle:stop].reshape(members, 1, fan_out)))
            start = stop
        return layers

    def features(self, observations: Shaped[np.ndarray, "B ..."]) -> Float[np.ndarray, "B F"]:
        """Return observations as numbers, categories one-hot."""
        return encode(self.spaces.observation, observations)

    def outputs(
        self, layers: Layers, features: Float[np.ndarray, "P E F"]
    ) -> Float[np.ndarray, "P E O"]:
        """Return each member's outputs for its own features."""
        hidden = features
        for layer, (weights, biases) in enumerate(layers):
            hidden = np.matmul(hidden, weights)
            hidden += biases
            if layer < len(self.hidden):
                np.tanh(hidden, out=hidden)
        return hidden

    def actions(self, outputs: Float[np.ndarray, "B O"]) -> Shaped[np.ndarray, "B ..."]:
        """Return outputs as actions of the environment."""
        space = self.spaces.action
        if isinstance(space, gym_spaces.Box):
            shape = (-1, *space.shape)
            middle, half_width = (space.high + space.low) / 2, (space.high - space.low) / 2
            numbers = middle + half_width * np.clip(outputs, -1, 1).reshape(shape)
            return np.clip(numbers, space.low, space.high).astype(space.dtype, copy=False)
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
        """Outputs of each group of categories; 1 for each number or bit."""
        space = self.spaces.action
        if isinstance(space, gym_spaces.Discrete):
            return [int(space.n)]
        if isinstance(space, gym_spaces.MultiDiscrete):
            return [int(size) for size in space.nvec]
        return [1] * int(np.prod(space.shape or ()))
