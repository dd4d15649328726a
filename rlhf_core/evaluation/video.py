"""Short films, as animated GIFs: of a policy, and of clips that were asked about."""

from collections.abc import Callable, Sequence
from functools import partial
from io import BytesIO
from typing import Any, TypeVar

import gymnasium
import numpy as np
from PIL import Image, ImageDraw

from rlhf_core.acting import Act, reset
from rlhf_core.environments.factory import Environment
from rlhf_core.environments.filming import without_a_screen
from rlhf_core.environments.making import close
from rlhf_core.errors import ConfigurationError
from rlhf_core.evaluation.clips import replay
from rlhf_core.origin import described
from rlhf_core.types import Segments

Result = TypeVar("Result")

WIDTH = 240
"""Pixels; GIFs of more are slow to write and to open."""
CLIP_WIDTH = 120
MARGIN = 4
CAPTION = 16
LEAST_WIDTH = 200
"""Pixels of the film of questions: a clip, the space beside it, the line under it, the whole."""
CLIP_FRAMES_PER_SECOND = 10.0


def film(environment: Environment, act: Act, seed: int, steps: int = 200, every: int = 2) -> bytes:
    """Play one episode as an animated GIF.

    Args:
        environment: what to act in.
        act: the policy.
        seed: reset seed.
        steps: longest film, in environment steps.
        every: steps between two frames.

    Raises:
        ConfigurationError: the environment has no render mode rgb_array, or fails to draw itself.
    """
    if not environment.can_render():
        raise ConfigurationError(f"'{environment.id}' has no render mode rgb_array")
    env = environment.make(render_mode="rgb_array")
    try:
        frames = _play(env, environment.id, act, seed, steps, every)
    finally:
        close(env, environment.id)
    return _gif(frames, float(env.metadata.get("render_fps") or 30) / every)


def film_questions(
    environment: Environment, segments: Segments, questions: Sequence[tuple[Sequence[int], str]]
) -> bytes:
    """Replay the clips of questions side by side, one question a row, the answer beneath it.

    Args:
        environment: that the clips come from.
        segments: all clips that were asked about.
        questions: positions of the clips, and the answer in words.

    Raises:
        ConfigurationError: the clips cannot be replayed, or the environment cannot draw itself.
    """
    rows: list[list[np.ndarray]] = []
    for clips, _ in questions:
        replays = [replay(environment, segments, clip, CLIP_WIDTH)[1] for clip in clips]
        frames = [pictures for pictures in replays if pictures is not None]
        if len(frames) < len(clips):
            raise ConfigurationError(f"'{environment.id}' has no render mode rgb_array")
        rows.append(frames)
    pictures = [_page(rows, questions, step) for step in range(segments.steps + 1)]
    return _gif(pictures, CLIP_FRAMES_PER_SECOND)


def _page(
    rows: Sequence[Sequence[np.ndarray]], questions: Sequence[tuple[Sequence[int], str]], step: int
) -> Image.Image:
    """One moment of all clips, with the answers."""
    images = [
        [_scaled(Image.fromarray(frames[step]), CLIP_WIDTH) for frames in row] for row in rows
    ]
    width = max(len(row) for row in rows) * (CLIP_WIDTH + MARGIN)
    heights = [max(image.height for image in row) + CAPTION for row in images]
    page = Image.new("RGB", (max(width, LEAST_WIDTH), sum(heights)), "white")
    pen, top = ImageDraw.Draw(page), 0
    for row, height, (clips, answer) in zip(images, heights, questions, strict=True):
        for column, image in enumerate(row):
            page.paste(image, (column * (CLIP_WIDTH + MARGIN), top))
        numbers = ", ".join(map(str, clips))
        pen.text((2, top + height - CAPTION + 2), f"clips {numbers}: {answer}", fill="black")
        top += height
    return page


def _scaled(image: Image.Image, width: int) -> Image.Image:
    return image.resize((width, round(image.height * width / image.width)))


def _gif(frames: Sequence[Image.Image], frames_per_second: float) -> bytes:
    """Frames of one size as an animated GIF."""
    width = frames[0].width
    # One palette for all frames: finding one for each takes most of the time. It is found on a
    # few of them side by side, so that what appears later keeps its colour.
    few = frames[:: -(-len(frames) // 8)]
    strip = Image.new("RGB", (width * len(few), frames[0].height))
    for index, frame in enumerate(few):
        strip.paste(frame, (width * index, 0))
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
    env: gymnasium.Env[Any, Any], id: str, act: Act, seed: int, steps: int, every: int
) -> list[Image.Image]:
    """Play an episode and draw a frame in every `every` steps."""
    frames = []
    observation, _ = _called(id, lambda: env.reset(seed=seed))
    reset(act, np.ones(1, dtype=bool))
    for step in range(steps):
        if step % every == 0:
            picture = _called(id, lambda: np.asarray(env.render(), dtype=np.uint8))
            frames.append(_scaled(Image.fromarray(picture), WIDTH))
        action = act(np.asarray(observation)[None])[0]
        observation, _, terminated, truncated, _ = _called(id, partial(env.step, action))
        if terminated or truncated:
            break
    return frames


def _called(id: str, function: Callable[[], Result]) -> Result:
    """Call an environment, whose failure costs the film and not the run."""
    try:
        with without_a_screen():
            return function()
    except (Exception, SystemExit) as error:
        # The exception for a missing drawing library depends on the environment.
        raise ConfigurationError(f"'{id}' fails while it is filmed: {described(error)}") from error
