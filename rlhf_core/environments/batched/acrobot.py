"""Acrobot, many copies at once."""

import numpy as np
from gymnasium import spaces

from rlhf_core.environments.batched.vector import Dynamics

GRAVITY, SECONDS = 9.8, 0.2
FASTEST = (4 * np.pi, 9 * np.pi)


class Acrobot(Dynamics):
    """`gymnasium.envs.classic_control.AcrobotEnv` (Sutton 1996), in the book's equations.

    State: angle of the upper link from straight down, of the lower one from the upper (rad), and
    their rates (rad/s); all drawn from [-0.1, 0.1].
    """

    parameters = ("mass", "length", "inertia")

    def __init__(self) -> None:
        self.mass, self.length, self.inertia = 1.0, 1.0, 1.0
        high = np.array([1.0, 1.0, 1.0, 1.0, *FASTEST], dtype=np.float32)
        self.observation_space = spaces.Box(-high, high, dtype=np.float32)
        self.action_space = spaces.Discrete(3)

    def draw(self, rng: np.random.Generator, count: int) -> np.ndarray:
        """Draw states near straight down, in single precision."""
        drawn = rng.uniform(-0.1, 0.1, size=(count, 4)).astype(np.float32)
        return drawn.astype(np.float64)

    def observe(self, state: np.ndarray) -> np.ndarray:
        """Compute cosine and sine of both angles, and their rates."""
        observations = np.empty((state.shape[1], 6), dtype=np.float32)
        observations[:, 0:4:2] = np.cos(state[:2]).T
        observations[:, 1:4:2] = np.sin(state[:2]).T
        observations[:, 4:] = state[2:].T
        return observations

    def step(
        self, state: np.ndarray, actions: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Take one step of the fourth-order Runge-Kutta method."""
        torque = actions.astype(np.float64) - 1.0
        half = SECONDS / 2.0
        first = self._change(state, torque)
        second = self._change(state + half * first, torque)
        third = self._change(state + half * second, torque)
        fourth = self._change(state + SECONDS * third, torque)
        after = state + SECONDS / 6.0 * (first + 2 * second + 2 * third + fourth)
        angles = after[:2]
        # One turn is enough: a link turns by less than that in a step.
        np.subtract(angles, 2 * np.pi, out=angles, where=angles > np.pi)
        np.add(angles, 2 * np.pi, out=angles, where=angles < -np.pi)
        np.clip(after[2], -FASTEST[0], FASTEST[0], out=after[2])
        np.clip(after[3], -FASTEST[1], FASTEST[1], out=after[3])
        terminated = -np.cos(after[0]) - np.cos(after[1] + after[0]) > 1.0
        return after, np.where(terminated, 0.0, -1.0), terminated

    def _change(self, state: np.ndarray, torque: np.ndarray) -> np.ndarray:
        """Derivative of the states by time."""
        upper, lower, upper_rate, lower_rate = state
        mass, length, inertia = self.mass, self.length, self.inertia
        centre = length / 2
        cos, sin = np.cos(lower), np.sin(lower)
        d1 = (
            mass * centre**2
            + mass * (length**2 + centre**2 + 2 * length * centre * cos)
            + inertia
            + inertia
        )
        d2 = mass * (centre**2 + length * centre * cos) + inertia
        phi2 = mass * centre * GRAVITY * np.cos(upper + lower - np.pi / 2.0)
        phi1 = (
            -mass * length * centre * lower_rate**2 * sin
            - 2 * mass * length * centre * lower_rate * upper_rate * sin
            + (mass * centre + mass * length) * GRAVITY * np.cos(upper - np.pi / 2)
            + phi2
        )
        lower_turning = (
            torque + d2 / d1 * phi1 - mass * length * centre * upper_rate**2 * sin - phi2
        ) / (mass * centre**2 + inertia - d2**2 / d1)
        upper_turning = -(d2 * lower_turning + phi1) / d1
        return np.stack([upper_rate, lower_rate, upper_turning, lower_turning])
