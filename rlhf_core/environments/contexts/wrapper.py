"""One environment whose parameters are drawn for every episode."""

from collections.abc import Mapping
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.utils import seeding

from rlhf_core.environments.contexts.parameters import check_parameters, set_parameters
from rlhf_core.environments.contexts.ranges import ContextRange, bounds, draw
from rlhf_core.errors import ConfigurationError


class ContextEnv(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Draw a context before every episode, from the environment's own generator `np_random`.

    ===========  ===================================================================
    observation  the environment's; with a visible context followed by its numbers, in
                 the order and the units in which the ranges are written
    action       the environment's
    reward       the environment's
    start        a context, drawn uniformly from the ranges, then the environment's
    end          the environment's
    ===========  ===================================================================
    """

    def __init__(
        self,
        env: gymnasium.Env[Any, Any],
        ranges: Mapping[str, ContextRange],
        visible: bool,
        id: str,
    ) -> None:
        """Wrap an environment.

        Args:
            env: the environment.
            ranges: of its parameters, by their names.
            visible: append the context to the observations, which are one row then.
            id: of the environment, for the messages.

        Raises:
            ConfigurationError: it lacks a parameter, or its observations are no row.
        """
        super().__init__(env)
        check_parameters(env.unwrapped, ranges, id)
        self._ranges, self._visible = dict(ranges), visible
        self._context = np.array([bounds(range)[0] for range in ranges.values()])
        if visible:
            self.observation_space = with_context(env.observation_space, ranges, id)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Draw a context and start an episode in it."""
        if seed is not None:
            # The reset goes on with this generator, so that the first state follows the context.
            self.unwrapped.np_random = seeding.np_random(seed)[0]
        (self._context,) = draw(self._ranges, self.unwrapped.np_random, 1)
        context = dict(zip(self._ranges, map(float, self._context), strict=True))
        set_parameters(self.unwrapped, context)
        observation, info = self.env.reset(options=options)
        return self._observation(observation), {**info, "context": context}

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """Step the environment."""
        observation, *rest = self.env.step(action)
        return self._observation(observation), *rest

    def _observation(self, observation: Any) -> Any:
        if not self._visible:
            return observation
        return np.concatenate([observation, self._context], dtype=self.observation_space.dtype)


def with_context(
    space: spaces.Space[Any], ranges: Mapping[str, ContextRange], id: str
) -> spaces.Box:
    """Return the space of observations that are followed by a context.

    Raises:
        ConfigurationError: the observations are no row of numbers.
    """
    if not isinstance(space, spaces.Box) or len(space.shape) != 1:
        raise ConfigurationError(
            f"environment.context_visible: expected observations of '{id}' that are a row of "
            f"numbers, actual: {space}; leave the context hidden"
        )
    low, high = np.array([bounds(range) for range in ranges.values()], dtype=np.float32).T
    return spaces.Box(
        np.concatenate([space.low, low]), np.concatenate([space.high, high]), dtype=np.float32
    )
