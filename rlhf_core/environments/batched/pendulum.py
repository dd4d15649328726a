"""Pendulum, many copies at once."""

import numpy as np
from gymnasium import spaces

from rlhf_core.environments.batched.vector import Dynamics

SECONDS, FASTEST, STRONGEST = 0.05, 8, 2.0


class Pendulum(Dynamics):
    """`gymnasium.envs.classic_control.PendulumEnv`.

    State: angle from the upright (rad), drawn from [-pi, pi], and its rate (rad/s), from [-1, 1].
    """

    parameters = ("gravity", "mass", "length")

    def __init__(self, g: float = 10.0) -> None:
        high = np.array([1.0, 1.0, FASTEST], dtype=np.float32)
        self.observation_space = spaces.Box(-high, high, dtype=np.float32)
        self.action_space = spaces.Box(-STRONGEST, STRONGEST, (1,), dtype=np.float32)
        self.gravity, self.mass, self.length = g, 1.0, 1.0

    def draw(self, rng: np.random.Generator, count: int) -> np.ndarray:
        """Draw angles and rates uniformly."""
        high = np.array([np.pi, 1.0])
        return rng.uniform(-high, high, size=(count, 2))

    def observe(self, state: np.ndarray) -> np.ndarray:
        """Compute cosine and sine of the angle, and its rate."""
        observations = np.empty((state.shape[1], 3), dtype=np.float32)
        np.cos(state[0], out=observations[:, 0], casting="same_kind")
        np.sin(state[0], out=observations[:, 1], casting="same_kind")
        observations[:, 2] = state[1]
        return observations

    def step(
        self, state: np.ndarray, actions: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Take a step of semi-implicit Euler; the cost is that of the state before."""
        angle, rate = state
        # Torques stay of the actions' own precision, as in the single environment.
        torque = np.clip(actions, -STRONGEST, STRONGEST)[:, 0]
        off = ((angle + np.pi) % (2 * np.pi)) - np.pi
        costs = off**2 + 0.1 * rate**2 + 0.001 * torque**2
        inverse_inertia = np.asarray(3.0 / (self.mass * self.length**2), dtype=torque.dtype)
        pull = 3 * self.gravity / (2 * self.length) * np.sin(angle) + inverse_inertia * torque
        after = np.empty_like(state)
        after[1] = np.clip(rate + pull * SECONDS, -FASTEST, FASTEST)
        after[0] = angle + after[1] * SECONDS
        return after, -costs, np.zeros(len(costs), dtype=bool)
