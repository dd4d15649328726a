"""One episode that a person plays, recorded as a trajectory."""

from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image

from rlhf_core.environments.episodes import EpisodeStart
from rlhf_core.environments.factory import Environment
from rlhf_core.environments.filming import drawn
from rlhf_core.environments.fixed_horizon import ABSORBING_STEPS
from rlhf_core.environments.making import close
from rlhf_core.errors import BrokenEnvironmentError, ConfigurationError
from rlhf_core.labelling.play.actions import play_actions
from rlhf_core.origin import described
from rlhf_core.types import Trajectory

WIDTH = 400
"""Pixels of a frame."""
QUALITY = 80
FASTEST = 15.0
"""Steps per second that a network keeps up with."""
MOVING = 15.0
"""Frames per second from which an environment moves by itself and is not played in turns."""


class PlayedEpisode:
    """An environment that a person steps. Close it when it is over."""

    def __init__(self, environment: Environment, seed: int) -> None:
        """Begin an episode.

        Args:
            environment: the one of the run.
            seed: of the reset.

        Raises:
            ConfigurationError: the environment does not draw itself.
            UnsupportedSpaceError: its actions cannot be chosen by keys.
        """
        chosen = play_actions(environment.spaces().action)
        self.actions, self.idle = chosen.actions, chosen.idle
        if not environment.can_render():
            raise ConfigurationError(
                f"environment.id: '{environment.id}' does not draw itself, so nobody can play it; "
                "use kind 'expert' with a recording"
            )
        self._id = environment.id
        self._env = environment.make(render_mode="rgb_array")
        fps = float(self._env.metadata.get("render_fps") or 0)
        self.mode = "rate" if fps >= MOVING else "turn"
        """rate: it goes on while no key is pressed; turn: it waits for one."""
        self.rate = min(fps, FASTEST) if self.mode == "rate" else 0.0
        self.done = self._terminated = False
        self._absorbing_steps = 0
        self._observations = [np.asarray(self._env.reset(seed=seed)[0])]
        self._actions: list[Any] = []
        self._start = self._env.start if isinstance(self._env, EpisodeStart) else None

    @property
    def steps(self) -> int:
        """Steps that were taken."""
        return len(self._actions)

    def step(self, action: int) -> None:
        """Take the action at this position of `actions`. After the end nothing happens.

        Raises:
            ConfigurationError: there is no such action.
            BrokenEnvironmentError: the environment fails.
        """
        if not 0 <= action < len(self.actions):
            raise ConfigurationError(
                f"action: expected 0 to {len(self.actions) - 1}, actual: {action}"
            )
        if self.done:
            return
        value = self.actions[action].value
        try:
            observation, _, terminated, truncated, info = self._env.step(value)
        except Exception as error:
            raise BrokenEnvironmentError(
                f"'{self._id}' fails while it is played: {described(error)}"
            ) from error
        self._actions.append(np.asarray(value))
        self._observations.append(np.asarray(observation))
        self._terminated, self.done = bool(terminated), bool(terminated or truncated)
        self._absorbing_steps = int(info.get(ABSORBING_STEPS, 0))

    def frame(self) -> bytes:
        """The environment now, as a WebP picture."""
        buffer = BytesIO()
        Image.fromarray(drawn(self._env, WIDTH)).save(buffer, format="WEBP", quality=QUALITY)
        return buffer.getvalue()

    def trajectory(self) -> Trajectory:
        """What was played so far; an episode that the person left counts as truncated.

        Raises:
            ConfigurationError: no step was taken.
        """
        if not self._actions:
            raise ConfigurationError("episode: expected at least one step, actual: none")
        return Trajectory(
            actions=np.stack(self._actions),
            observations=np.stack(self._observations),
            terminated=self._terminated,
            truncated=not self._terminated,
            policy_version=0,
            start=self._start,
            absorbing_steps=self._absorbing_steps,
        )

    def close(self) -> None:
        """Give the environment back."""
        close(self._env, self._id)
