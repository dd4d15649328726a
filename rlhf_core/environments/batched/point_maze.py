"""A point that must go around a barrier: one at a time, and many copies at once."""

import math
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from rlhf_core.environments.batched.vector import Dynamics
from rlhf_core.errors import ConfigurationError

HORIZON = 100
START, SPREAD = (0.0, -0.7), 0.05
TARGET = (0.0, 0.7)
BARRIER, WIDTH, THICKNESS = 0.0, 0.5, 0.01
"""Its height, the width of the gap beside it, and how far from it a stopped point rests."""
SPEED, CONTROL_COST = 0.1, 0.001


class PointMazeEnv(gymnasium.Env[np.ndarray, np.ndarray]):
    """The point maze of Fu et al. 2018 (section 7.1, https://arxiv.org/abs/1710.11248), without
    MuJoCo: friction is so strong there that a point moves at the speed at which it is pushed.

    ===========  ===================================================================
    observation  position (x, y), in the square [-1, 1] x [-1, 1]
    action       velocity (x, y) from [-1, 1], in tenths of a unit a step
    reward       -(distance to the target at (0, 0.7) before the step) - 0.001 |action|^2
    start        (0, -0.7), each coordinate up to 0.05 beside it; or anywhere in the square
    end          truncated after 100 steps
    ===========  ===================================================================

    The barrier is the line y = 0, open over the 0.5 next to the left or the right wall. Points
    slide along it and along the walls. The best return is about -11; a point that stays where it
    starts gets -140.
    """

    def __init__(self, opening: str = "left", anywhere: bool = False) -> None:
        self.observation_space, self.action_space = _observations(), _actions()
        self._sign, self._anywhere = _sign(opening), anywhere
        self._x, self._y = START

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Draw a start."""
        super().reset(seed=seed)
        self._x, self._y = (
            self.np_random.uniform(low, high) for low, high in _starts(self._anywhere)
        )
        return self._observation(), {}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Move up to the walls and the barrier."""
        push = [min(max(float(number), -1.0), 1.0) for number in action]
        distance = math.sqrt((self._x - TARGET[0]) ** 2 + (self._y - TARGET[1]) ** 2)
        reward = -distance - CONTROL_COST * (push[0] ** 2 + push[1] ** 2)
        x = min(max(self._x + SPEED * push[0], -1.0), 1.0)
        y = min(max(self._y + SPEED * push[1], -1.0), 1.0)
        above = self._y > BARRIER
        if above != (y > BARRIER):
            share = (BARRIER - self._y) / (y - self._y)
            if self._sign * (self._x + share * (x - self._x)) < 1.0 - WIDTH:
                y = BARRIER + (THICKNESS if above else -THICKNESS)
        self._x, self._y = x, y
        return self._observation(), reward, False, False, {}

    def _observation(self) -> np.ndarray:
        return np.array([self._x, self._y], dtype=np.float32)


class PointMaze(Dynamics):
    """`PointMazeEnv`. State: the position."""

    def __init__(self, opening: str = "left", anywhere: bool = False) -> None:
        self.observation_space, self.action_space = _observations(), _actions()
        self._sign, self._anywhere = _sign(opening), anywhere

    def draw(self, rng: np.random.Generator, count: int) -> np.ndarray:
        """Draw starts."""
        low, high = np.array(_starts(self._anywhere)).T
        return rng.uniform(low, high, size=(count, 2))

    def observe(self, state: np.ndarray) -> np.ndarray:
        """Return the positions in single precision."""
        return state.T.astype(np.float32, order="C")

    def step(
        self, state: np.ndarray, actions: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Move up to the walls and the barrier."""
        push = np.clip(actions.T.astype(np.float64), -1.0, 1.0)
        off = state - np.array(TARGET)[:, None]
        rewards = -np.sqrt((off**2).sum(axis=0)) - CONTROL_COST * (push**2).sum(axis=0)
        after = np.clip(state + SPEED * push, -1.0, 1.0)
        above = state[1] > BARRIER
        crossing = np.flatnonzero(above != (after[1] > BARRIER))
        before, ahead = state[:, crossing], after[:, crossing]
        share = (BARRIER - before[1]) / (ahead[1] - before[1])
        crossed_at = before[0] + share * (ahead[0] - before[0])
        stopped = crossing[self._sign * crossed_at < 1.0 - WIDTH]
        after[1, stopped] = BARRIER + np.where(above[stopped], THICKNESS, -THICKNESS)
        return after, rewards, np.zeros(len(rewards), dtype=bool)


def _observations() -> spaces.Box:
    return spaces.Box(-1.0, 1.0, (2,), dtype=np.float32)


def _actions() -> spaces.Box:
    return spaces.Box(-1.0, 1.0, (2,), dtype=np.float32)


def _starts(anywhere: bool) -> list[tuple[float, float]]:
    """Lowest and highest x and y of a start."""
    return [(-1.0, 1.0)] * 2 if anywhere else [(at - SPREAD, at + SPREAD) for at in START]


def _sign(opening: str) -> float:
    """Of x at the gap."""
    if opening not in ("left", "right"):
        raise ConfigurationError(
            f"environment.options: expected opening 'left' or 'right', actual: '{opening}'"
        )
    return -1.0 if opening == "left" else 1.0
