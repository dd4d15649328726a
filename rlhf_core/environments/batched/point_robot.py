"""A robot that must find a goal which it cannot observe: one at a time, and many copies at once."""

import math
from numbers import Real
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from rlhf_core.environments.batched.vector import Dynamics
from rlhf_core.errors import ConfigurationError

HORIZON = 20
SPEED, FARTHEST, START_RANGE = 0.1, 2.0, 0.1
STRAIGHT_UP = math.pi / 2


class PointRobotEnv(gymnasium.Env[np.ndarray, np.ndarray]):
    """The point robot of Rakelly et al. 2019 (appendix A, https://arxiv.org/abs/1903.08254).

    A task is a goal on the unit circle. It is not observed, so that a policy for one task is wrong
    for the others, and only the reward tells tasks apart.

    ===========  ===================================================================
    observation  position (x, y), in the square [-2, 2] x [-2, 2]
    action       velocity (x, y) from [-1, 1], in tenths of a unit a step
    reward       -(distance to the goal after the step)
    start        (0, 0), each coordinate up to 0.1 beside it
    end          truncated after 20 steps
    ===========  ===================================================================

    The goal lies at (cos a, sin a) with a = `goal` (rad), which a context can set. The best return
    is about -4.5 on the axes, where ten steps lead there, and -3.0 on the diagonals; a robot that
    stays where it starts gets -20.
    """

    def __init__(self, goal: float = STRAIGHT_UP) -> None:
        self.observation_space, self.action_space = _observations(), _actions()
        self.goal = _checked(goal)
        self._x = self._y = 0.0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Draw a start."""
        super().reset(seed=seed)
        self._x, self._y = (self.np_random.uniform(-START_RANGE, START_RANGE) for _ in range(2))
        return self._observation(), {}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Move up to the edge of the square."""
        push = [min(max(float(number), -1.0), 1.0) for number in action]
        self._x = min(max(self._x + SPEED * push[0], -FARTHEST), FARTHEST)
        self._y = min(max(self._y + SPEED * push[1], -FARTHEST), FARTHEST)
        off = (self._x - math.cos(self.goal)) ** 2 + (self._y - math.sin(self.goal)) ** 2
        return self._observation(), -math.sqrt(off), False, False, {}

    def _observation(self) -> np.ndarray:
        return np.array([self._x, self._y], dtype=np.float32)


class PointRobot(Dynamics):
    """`PointRobotEnv`. State: the position."""

    parameters = ("goal",)

    def __init__(self, goal: float = STRAIGHT_UP) -> None:
        self.observation_space, self.action_space = _observations(), _actions()
        self.goal = _checked(goal)

    def draw(self, rng: np.random.Generator, count: int) -> np.ndarray:
        """Draw starts."""
        return rng.uniform(-START_RANGE, START_RANGE, size=(count, 2))

    def observe(self, state: np.ndarray) -> np.ndarray:
        """Return the positions in single precision."""
        return state.T.astype(np.float32, order="C")

    def step(
        self, state: np.ndarray, actions: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Move up to the edge of the square."""
        push = np.clip(actions.T.astype(np.float64), -1.0, 1.0)
        after = np.clip(state + SPEED * push, -FARTHEST, FARTHEST)
        off = (after[0] - np.cos(self.goal)) ** 2 + (after[1] - np.sin(self.goal)) ** 2
        return after, -np.sqrt(off), np.zeros(len(off), dtype=bool)


def _observations() -> spaces.Box:
    return spaces.Box(-FARTHEST, FARTHEST, (2,), dtype=np.float32)


def _actions() -> spaces.Box:
    return spaces.Box(-1.0, 1.0, (2,), dtype=np.float32)


def _checked(goal: float) -> float:
    if isinstance(goal, bool) or not isinstance(goal, Real) or not math.isfinite(goal):
        raise ConfigurationError(
            f"environment.options: expected goal to be an angle in rad, actual: {goal!r}"
        )
    return float(goal)
