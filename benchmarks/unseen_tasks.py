"""Two small tasks of `unseen.yaml`: one observes a dictionary, the other an image."""

from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

SIZE = 36
"""Pixels of a side of an image: the least that Stable-Baselines3's convolutions take."""
CELLS = 6
"""Fields of a side of the board."""
MOVES = ((0, 1), (0, -1), (1, 0), (-1, 0))


class Cart(gymnasium.Env[dict[str, np.ndarray], np.ndarray]):
    """Drive a cart to a flag, and stop there."""

    def __init__(self) -> None:
        self.observation_space = spaces.Dict(
            {
                "motion": spaces.Box(-5.0, 5.0, (2,), np.float32),
                "flag": spaces.Box(-1.0, 1.0, (1,), np.float32),
            }
        )
        self.action_space = spaces.Box(-1.0, 1.0, (1,), np.float32)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Start at rest in the middle; the flag stands anywhere."""
        super().reset(seed=seed)
        self._position, self._speed = 0.0, 0.0
        self._flag = float(self.np_random.uniform(-1, 1))
        return self._observation(), {}

    def step(
        self, action: np.ndarray
    ) -> tuple[dict[str, np.ndarray], float, bool, bool, dict[str, Any]]:
        """Push; the reward is -|position - flag| - 0.1 speed^2."""
        force = float(np.clip(action[0], -1, 1))
        self._speed = float(np.clip(self._speed + 0.1 * force, -1, 1))
        self._position = float(np.clip(self._position + 0.1 * self._speed, -2, 2))
        reward = -abs(self._position - self._flag) - 0.1 * self._speed**2
        return self._observation(), reward, False, False, {}

    def _observation(self) -> dict[str, np.ndarray]:
        return {
            "motion": np.array([self._position, self._speed], dtype=np.float32),
            "flag": np.array([self._flag], dtype=np.float32),
        }


class Board(gymnasium.Env[np.ndarray, np.int64]):
    """Walk to a target on a board of 6 by 6 fields that is seen as a grey image."""

    def __init__(self) -> None:
        self.observation_space = spaces.Box(0, 255, (SIZE, SIZE, 1), np.uint8)
        self.action_space = spaces.Discrete(len(MOVES))

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Put walker and target anywhere."""
        super().reset(seed=seed)
        self._walker, self._target = self.np_random.integers(CELLS, size=(2, 2))
        return self._observation(), {}

    def step(self, action: np.int64) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Move by a field; the reward is minus the number of fields to the target."""
        self._walker = np.clip(self._walker + MOVES[int(action)], 0, CELLS - 1)
        distance = float(np.abs(self._walker - self._target).sum())
        return self._observation(), -distance, False, False, {}

    def _observation(self) -> np.ndarray:
        image = np.zeros((SIZE, SIZE, 1), dtype=np.uint8)
        side = SIZE // CELLS
        for (row, column), shade in ((self._target, 120), (self._walker, 255)):
            image[row * side : (row + 1) * side, column * side : (column + 1) * side] = shade
        return image


gymnasium.register("Cart-v0", Cart, max_episode_steps=60)
gymnasium.register("Board-v0", Board, max_episode_steps=20)
