"""Episodes of one length, so that the end of an episode says nothing about reward.

In CartPole, MountainCar or Acrobot the episode ends at failure or at success, and a constant
reward already teaches the task: the reward leaks through termination. In the absorbing form an
episode that ends early goes on to the limit with the last observation repeated, a flag raised
and a true reward of 0, so that only the reward itself can teach (Kostrikov et al. 2019,
https://arxiv.org/abs/1809.02925, section 4.2; seals, https://github.com/HumanCompatibleAI/seals).
"""

from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from rlhf_core.errors import UnsupportedSpaceError


class FixedHorizon(gymnasium.Wrapper[np.ndarray, Any, np.ndarray, Any]):
    """Let every episode last `steps` steps; after an early end the state is absorbing.

    ==================  ======================================================================
    observation         the environment's (a one-dimensional Box) and one number more: 0 while
                        the episode runs, 1 in the absorbing state (the other numbers stay)
    action              the environment's; ignored in the absorbing state
    reward              the environment's; 0 in the absorbing state
    end                 never terminated; truncated after `steps` steps
    ==================  ======================================================================
    """

    def __init__(self, env: gymnasium.Env[np.ndarray, Any], steps: int) -> None:
        super().__init__(env)
        box = env.observation_space
        if not isinstance(box, spaces.Box) or len(box.shape) != 1:
            raise UnsupportedSpaceError(
                f"environment.fixed_horizon: expected one-dimensional Box observations, "
                f"actual: {box}"
            )
        dtype = np.result_type(box.dtype, np.float32)
        self.observation_space = spaces.Box(
            np.append(box.low, 0).astype(dtype), np.append(box.high, 1).astype(dtype), dtype=dtype
        )
        self.steps = steps
        self._taken = 0
        self._last: np.ndarray | None = None
        self._info: dict[str, Any] = {}

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Start an episode."""
        observation, info = self.env.reset(seed=seed, options=options)
        self._taken, self._last = 0, None
        return self._flagged(observation, 0), info

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """One step; in the absorbing state nothing moves and nothing is paid."""
        self._taken += 1
        reward = 0.0
        if self._last is None:
            observation, paid, terminated, truncated, self._info = self.env.step(action)
            reward = float(paid)
            if terminated or truncated:
                self._last = observation
        absorbed = self._last is not None
        shown = self._flagged(self._last if self._last is not None else observation, absorbed)
        return shown, reward, False, self._taken >= self.steps, self._info

    def _flagged(self, observation: np.ndarray, absorbed: bool | int) -> np.ndarray:
        return np.append(observation, absorbed).astype(self.observation_space.dtype)
