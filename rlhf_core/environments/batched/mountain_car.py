"""Mountain car, with three pushes or a continuous one, many copies at once."""

import numpy as np
from gymnasium import spaces

from rlhf_core.environments.batched.vector import Dynamics

LEFTMOST, RIGHTMOST, FASTEST = -1.2, 0.6, 0.07
GRAVITY, GOAL = 0.0025, 0.5
CONTINUOUS_PUSH, CONTINUOUS_GOAL = 0.0015, 0.45


class MountainCar(Dynamics):
    """`gymnasium.envs.classic_control.MountainCarEnv` (Moore 1990).

    State: position, drawn from [-0.6, -0.4], and speed, at first 0.
    """

    parameters = ("force", "gravity")

    def __init__(self, goal_velocity: float = 0.0) -> None:
        self.force, self.gravity = 0.001, GRAVITY
        self.observation_space = _space()
        self.action_space: spaces.Space[np.int64] = spaces.Discrete(3)
        self._goal_velocity = goal_velocity

    def draw(self, rng: np.random.Generator, count: int) -> np.ndarray:
        """Draw positions in the valley, at rest."""
        return _at_rest(rng, count)

    def observe(self, state: np.ndarray) -> np.ndarray:
        """Return the states in single precision."""
        return state.T.astype(np.float32, order="C")

    def step(
        self, state: np.ndarray, actions: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Push to the left, not at all, or to the right; the reward is -1 a step."""
        push = (actions.astype(np.float64) - 1) * self.force
        push = push + np.cos(3 * state[0]) * (-self.gravity)
        after = _moved(state, push)
        terminated = (after[0] >= GOAL) & (after[1] >= self._goal_velocity)
        return after, np.full(len(push), -1.0), terminated


class MountainCarContinuous(Dynamics):
    """`gymnasium.envs.classic_control.Continuous_MountainCarEnv`; single precision, as it is there.

    State: position, drawn from [-0.6, -0.4], and speed, at first 0.
    """

    def __init__(self, goal_velocity: float = 0.0) -> None:
        self.observation_space = _space()
        self.action_space = spaces.Box(-1.0, 1.0, (1,), dtype=np.float32)
        self._goal_velocity = goal_velocity

    def draw(self, rng: np.random.Generator, count: int) -> np.ndarray:
        """Draw positions in the valley, at rest."""
        return _at_rest(rng, count)

    def observe(self, state: np.ndarray) -> np.ndarray:
        """Return the states in single precision."""
        return state.T.astype(np.float32, order="C")

    def step(
        self, state: np.ndarray, actions: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Push; the reward is 100 at the goal, less a tenth of the squared force in each step."""
        force = actions[:, 0]
        push = np.clip(force, -1.0, 1.0) * CONTINUOUS_PUSH - GRAVITY * np.cos(3 * state[0])
        after = _moved(state, push).astype(np.float32).astype(np.float64)
        terminated = (after[0] >= CONTINUOUS_GOAL) & (after[1] >= self._goal_velocity)
        rewards = np.where(terminated, 100.0, 0.0) - np.square(force.astype(np.float64)) * 0.1
        return after, rewards, terminated


def _space() -> spaces.Box:
    low = np.array([LEFTMOST, -FASTEST], dtype=np.float32)
    high = np.array([RIGHTMOST, FASTEST], dtype=np.float32)
    return spaces.Box(low, high, dtype=np.float32)


def _at_rest(rng: np.random.Generator, count: int) -> np.ndarray:
    return np.stack([rng.uniform(-0.6, -0.4, size=count), np.zeros(count)], axis=1)


def _moved(state: np.ndarray, push: np.ndarray) -> np.ndarray:
    """States after a push, stopped by the wall on the left."""
    after = np.empty_like(state)
    after[1] = np.clip(state[1] + push, -FASTEST, FASTEST)
    after[0] = np.clip(state[0] + after[1], LEFTMOST, RIGHTMOST)
    after[1][(after[0] == LEFTMOST) & (after[1] < 0)] = 0.0
    return after
