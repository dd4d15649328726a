"""Many copies at once, each in a context of its own."""

from collections.abc import Mapping

import numpy as np

from rlhf_core.environments.batched.vector import Dynamics
from rlhf_core.environments.contexts.ranges import ContextRange, draw
from rlhf_core.environments.contexts.wrapper import with_context


class ContextDynamics(Dynamics):
    """`ContextEnv`. State: the context, drawn first, then the environment's."""

    def __init__(
        self, dynamics: Dynamics, ranges: Mapping[str, ContextRange], visible: bool, id: str
    ) -> None:
        self._dynamics, self._ranges, self._visible = dynamics, dict(ranges), visible
        self.action_space = dynamics.action_space
        self.observation_space = (
            with_context(dynamics.observation_space, ranges, id)
            if visible
            else dynamics.observation_space
        )

    def draw(self, rng: np.random.Generator, count: int) -> np.ndarray:
        """Draw contexts, then states."""
        contexts = draw(self._ranges, rng, count)
        return np.concatenate([contexts, self._dynamics.draw(rng, count)], axis=1)

    def observe(self, state: np.ndarray) -> np.ndarray:
        """Return the observations, with the context behind them where it is visible."""
        contexts = state[: len(self._ranges)]
        observations = self._dynamics.observe(state[len(self._ranges) :])
        if not self._visible:
            return observations
        return np.concatenate([observations, contexts.T], axis=1, dtype=np.float32)

    def step(
        self, state: np.ndarray, actions: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Step each copy with its own parameters."""
        contexts = state[: len(self._ranges)]
        dynamics = self._dynamics.with_parameters(dict(zip(self._ranges, contexts, strict=True)))
        after, rewards, terminated = dynamics.step(state[len(self._ranges) :], actions)
        return np.concatenate([contexts, after]), rewards, terminated
