"""Frames of environments: how they are drawn, and a wrapper that draws one at every observation."""

import os
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import gymnasium
import numpy as np
from gymnasium.vector import SyncVectorEnv, VectorEnv
from jaxtyping import UInt8

from rlhf_core.environments.episodes import EpisodeStart
from rlhf_core.errors import ConfigurationError

# SDL scales pictures in buffers that all threads share: two that draw at once mix their pictures.
_DRAWING = threading.RLock()


@contextmanager
def without_a_screen() -> Iterator[None]:
    """Keep SDL, which draws the classic environments, and MuJoCo from looking for a screen.

    One thread draws at a time.
    """
    chosen = {"SDL_VIDEODRIVER": "dummy", **_mujoco_without_a_screen()}
    with _DRAWING:
        before = {name: os.environ.get(name) for name in chosen}
        os.environ.update(chosen)
        try:
            yield
        finally:
            for name, value in before.items():
                if value is None:
                    del os.environ[name]
                else:
                    os.environ[name] = value


def _mujoco_without_a_screen() -> dict[str, str]:
    """The environment variable that lets MuJoCo draw where there is no screen.

    Left to itself it tries for a window there, fails, and at the second picture ends the process.
    """
    screens = ("MUJOCO_GL", "DISPLAY", "WAYLAND_DISPLAY")
    headless = sys.platform == "linux" and not any(os.environ.get(name) for name in screens)
    return {"MUJOCO_GL": "egl"} if headless else {}


def drawn(env: gymnasium.Env[Any, Any], width: int | None) -> UInt8[np.ndarray, "height width 3"]:
    """The environment as a picture, scaled to a width in pixels; None keeps its own."""
    from PIL import Image

    with without_a_screen():
        image = Image.fromarray(np.asarray(env.render(), dtype=np.uint8)).convert("RGB")
    if width is not None and width != image.width:
        image = image.resize((width, max(1, round(image.height * width / image.width))))
    return np.asarray(image)


class Filming(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Draw a frame at every observation.

    Args:
        env: made with `render_mode="rgb_array"`.
        width: of a frame, in pixels.

    Raises:
        ConfigurationError: the environment cannot draw itself.
    """

    def __init__(self, env: gymnasium.Env[Any, Any], width: int) -> None:
        super().__init__(env)
        modes = env.metadata.get("render_modes") or []
        if "rgb_array" not in modes:
            raise ConfigurationError(
                f"environment.frames: '{env.spec.id if env.spec else env}' does not draw itself "
                f"(expected rgb_array among its render modes, actual: {modes}); leave frames out"
            )
        self._width = width
        self.frame = np.empty((0, 0, 3), dtype=np.uint8)
        """Of the newest observation."""
        self.final_frame = self.frame
        """Of the last observation before the newest reset."""

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Start an episode and draw its first observation."""
        observation, info = self.env.reset(seed=seed, options=options)
        self.final_frame, self.frame = self.frame, drawn(self.env, self._width)
        return observation, info

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """Take a step and draw what it leads to."""
        result = self.env.step(action)
        self.frame = drawn(self.env, self._width)
        return result


def films(environment: VectorEnv[Any, Any, Any]) -> Sequence[Filming]:
    """The wrappers that draw each copy, or none where frames are not recorded."""
    vector = environment.unwrapped
    if not isinstance(vector, SyncVectorEnv):
        return ()
    inner = [env.env for env in vector.envs if isinstance(env, EpisodeStart)]
    return [env for env in inner if isinstance(env, Filming)]
