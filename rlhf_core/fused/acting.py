"""Actions of an off-policy model while it collects transitions."""

import numpy as np
from gymnasium import spaces
from jaxtyping import Float, Shaped
from stable_baselines3.common.noise import ActionNoise

from rlhf_core.fused.flat import Flat


class ActorPass:
    """The actor's outputs for the observations of all copies of an environment, in NumPy."""

    def __init__(self, actor: Flat, activation: str) -> None:
        self._actor = actor
        networks = actor.networks
        self._layers = [
            (weights[0].numpy(), biases[0].numpy())
            for weights, biases in zip(networks.transposed, networks.biases, strict=True)
        ]
        self._relu = activation == "relu"

    def outputs(self, observations: Shaped[np.ndarray, "B ..."]) -> Float[np.ndarray, "B outputs"]:
        """Return the outputs for a batch of observations."""
        self._actor.bind()
        values = observations.reshape(len(observations), -1).astype(np.float32, copy=False)
        for weights, biases in self._layers[:-1]:
            values = values @ weights
            values += biases
            values = np.maximum(values, 0.0, out=values) if self._relu else np.tanh(values)
        weights, biases = self._layers[-1]
        outputs: np.ndarray = values @ weights
        outputs += biases
        return outputs


def scaled_actions(
    space: spaces.Box, scaled: Float[np.ndarray, "B act"], noise: ActionNoise | None
) -> tuple[np.ndarray, np.ndarray]:
    """Return actions within the space's bounds, and the same scaled to [-1, 1].

    Args:
        space: the space of actions.
        scaled: actions scaled to [-1, 1].
        noise: is added to the scaled actions, or None.
    """
    actions = scaled.reshape(len(scaled), *space.shape)
    if noise is not None:
        actions = np.clip(actions + noise(), -1, 1)
    within: np.ndarray = space.low + (0.5 * (actions + 1.0) * (space.high - space.low))
    return within, actions
