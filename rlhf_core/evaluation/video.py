"""A short film of a policy."""

import logging
from io import BytesIO
from typing import Any

import gymnasium
import numpy as np
from PIL import Image

from rlhf_core.acting import Act, reset
from rlhf_core.environments.factory import Environment
from rlhf_core.environments.filming import without_a_screen

WIDTH = 240
"""Pixels; GIFs of more are slow to write and to open."""


def film(
    environment: Environment, act: Act, seed: int, steps: int = 200, every: int = 2
) -> bytes | None:
    """Play one episode as an animated GIF; None where the environment cannot draw itself.

    Args:
        environment: what to act in.
        act: the policy.
        seed: reset seed.
        steps: longest film, in environment steps.
        every: steps between two frames.
    """
    if not environment.can_render():
        return None
    env = environment.make(render_mode="rgb_array")
    try:
        with without_a_screen():
            frames = _play(env, act, seed, steps, every)
    except (Exception, SystemExit):
        # The exception for a missing drawing library depends on the environment.
        logging.getLogger(__name__).warning(
            "no film: %s cannot draw", environment.id, exc_info=True
        )
        return None
    finally:
        env.close()
    frames_per_second = float(env.metadata.get("render_fps") or 30) / every
    # One palette for all frames: finding one for each takes most of the time. It is found on a
    # few of them side by side, so that what appears later keeps its colour.
    few = frames[:: -(-len(frames) // 8)]
    strip = Image.new("RGB", (WIDTH * len(few), frames[0].height))
    for index, frame in enumerate(few):
        strip.paste(frame, (WIDTH * index, 0))
    palette = strip.quantize(64)
    images = [frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames]
    buffer = BytesIO()
    images[0].save(
        buffer,
        format="GIF",
        save_all=True,
        append_images=images[1:],
        duration=round(1000 / frames_per_second),
        loop=0,
        optimize=False,
    )
    return buffer.getvalue()


def _play(
    env: gymnasium.Env[Any, Any], act: Act, seed: int, steps: int, every: int
) -> list[Image.Image]:
    """Play an episode and draw a frame in every `every` steps."""
    frames = []
    observation, _ = env.reset(seed=seed)
    reset(act, np.ones(1, dtype=bool))
    for step in range(steps):
        if step % every == 0:
            image = Image.fromarray(np.asarray(env.render(), dtype=np.uint8))
            frames.append(image.resize((WIDTH, round(image.height * WIDTH / image.width))))
        observation, _, terminated, truncated, _ = env.step(act(np.asarray(observation)[None])[0])
        if terminated or truncated:
            break
    return frames
