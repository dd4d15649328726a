"""Environments whose episodes read as text: one copy of the dynamics, as lines or as a picture."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import gymnasium
import numpy as np
from jaxtyping import Bool, Float

from rlhf_core.environments.batched.vector import Dynamics
from rlhf_core.environments.text_picture import picture


class TextDynamics(Dynamics):
    """Dynamics of which every step can be told in words."""

    @abstractmethod
    def opening(self, state: Float[np.ndarray, " D"]) -> Sequence[str]:
        """Describe a first state, in lines."""

    @abstractmethod
    def lines(
        self, before: Float[np.ndarray, " D"], action: Any, after: Float[np.ndarray, " D"]
    ) -> Sequence[str]:
        """Tell what happened in a step, in lines.

        Args:
            before: the state in which the action was taken.
            action: of one copy.
            after: the state it led to.
        """

    @abstractmethod
    def infos(
        self, state: Float[np.ndarray, "D count"]
    ) -> Mapping[str, Bool[np.ndarray, " count"]]:
        """Compute what `info` tells of states, such as success, by its key."""


class TextEnv(gymnasium.Env[np.ndarray, Any]):
    """One copy of dynamics that read as text.

    Spaces, reward, start and end are those of the dynamics. `ansi` renders the episode so far as
    text, `rgb_array` its last lines as a picture.
    """

    # Gymnasium reads it from the class before it makes one.
    metadata = {"render_modes": ["ansi", "rgb_array"], "render_fps": 2}  # noqa: RUF012

    def __init__(self, dynamics: TextDynamics, render_mode: str | None = None) -> None:
        self.observation_space, self.action_space = (
            dynamics.observation_space,
            dynamics.action_space,
        )
        self.render_mode = render_mode
        self._dynamics = dynamics
        self._state = np.empty((0, 1))
        self._lines: list[str] = []

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Draw a first state."""
        super().reset(seed=seed)
        self._state = self._dynamics.draw(self.np_random, 1).T.copy()
        self._lines = list(self._dynamics.opening(self._state[:, 0])) if self.render_mode else []
        return self._observation(), {}

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Take a step of the dynamics."""
        before = self._state
        self._state, rewards, terminated = self._dynamics.step(before, np.asarray(action)[None])
        if self.render_mode:
            self._lines += self._dynamics.lines(before[:, 0], action, self._state[:, 0])
        infos = self._dynamics.infos(self._state)
        info = {key: bool(values[0]) for key, values in infos.items()}
        return self._observation(), float(rewards[0]), bool(terminated[0]), False, info

    def render(self) -> Any:
        """Return the episode as text, or a picture of its last lines."""
        if self.render_mode == "ansi":
            return "\n".join(self._lines)
        return picture(self._lines) if self.render_mode == "rgb_array" else None

    def _observation(self) -> np.ndarray:
        return self._dynamics.observe(self._state)[0]
