"""CartPole, many copies at once."""

import numpy as np
from gymnasium import spaces

from rlhf_core.environments.batched.vector import Dynamics

CART, SECONDS = 1.0, 0.02
FURTHEST, STEEPEST = 2.4, 12 * 2 * np.pi / 360


class CartPole(Dynamics):
    """`gymnasium.envs.classic_control.CartPoleEnv` (Barto, Sutton and Anderson 1983).

    State: position (m), speed (m/s), angle (rad), its rate (rad/s); all drawn from [-0.05, 0.05].
    """

    parameters = ("force", "length", "mass", "gravity")

    def __init__(self, sutton_barto_reward: bool = False) -> None:
        high = np.array([FURTHEST * 2, np.inf, STEEPEST * 2, np.inf], dtype=np.float32)
        self.observation_space = spaces.Box(-high, high, dtype=np.float32)
        self.action_space = spaces.Discrete(2)
        self.force, self.length, self.mass, self.gravity = 10.0, 0.5, 0.1, 9.8
        self._per_step, self._at_end = (0.0, -1.0) if sutton_barto_reward else (1.0, 1.0)

    def draw(self, rng: np.random.Generator, count: int) -> np.ndarray:
        """Draw states near the upright."""
        return rng.uniform(-0.05, 0.05, size=(count, 4))

    def observe(self, state: np.ndarray) -> np.ndarray:
        """Return the states in single precision."""
        return state.T.astype(np.float32, order="C")

    def step(
        self, state: np.ndarray, actions: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Take one step of Euler's method."""
        x, speed, angle, rate = state
        force = np.where(actions == 1, self.force, -self.force)
        total, mass_length = self.mass + CART, self.mass * self.length
        cos, sin = np.cos(angle), np.sin(angle)
        temp = (force + mass_length * np.square(rate) * sin) / total
        turning = (self.gravity * sin - cos * temp) / (
            self.length * (4.0 / 3.0 - self.mass * np.square(cos) / total)
        )
        pushing = temp - mass_length * turning * cos / total
        after = np.empty_like(state)
        after[0] = x + SECONDS * speed
        after[1] = speed + SECONDS * pushing
        after[2] = angle + SECONDS * rate
        after[3] = rate + SECONDS * turning
        terminated = (np.abs(after[0]) > FURTHEST) | (np.abs(after[2]) > STEEPEST)
        return after, np.where(terminated, self._at_end, self._per_step), terminated
