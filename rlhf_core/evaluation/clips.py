"""Replays of clips: played again from how their episode began, or from recorded frames."""

import numpy as np
from jaxtyping import Shaped, UInt8

from rlhf_core.environments.episodes import restart
from rlhf_core.environments.factory import Environment
from rlhf_core.environments.filming import drawn
from rlhf_core.errors import ConfigurationError
from rlhf_core.types import Segments

TOLERANCE = 1e-3
"""By how much an observation may differ, relatively: batched forms round otherwise than single
environments do."""


def replay(
    environment: Environment, segments: Segments, index: int, width: int | None = None
) -> tuple[Shaped[np.ndarray, "rows *obs"], UInt8[np.ndarray, "rows height width 3"] | None]:
    """Replay one clip.

    The environment is made once, begun as the clip's episode began, and stepped with the recorded
    actions up to the clip's end. Where the clip holds frames, nothing is played. A padded clip
    repeats its last observation and its last frame.

    Args:
        environment: the one that the clip comes from.
        segments: cut with `replayable=True`.
        index: of the clip.
        width: of the frames in pixels; None keeps the environment's own.

    Returns:
        The L + 1 observations and their frames; None for frames where the environment does not draw
        itself.

    Raises:
        ConfigurationError: the clip cannot be replayed, or its observations come out differently.
    """
    replays = segments.replays
    if replays is None:
        raise ConfigurationError(
            f"environment.frames: clips of '{environment.id}' cannot be replayed; set a width, so "
            "that frames are recorded"
        )
    recorded = segments.observations[index]
    if replays.frames is not None:
        return recorded, replays.frames[index]
    clip = replays.take(np.array([index]))
    first = int(clip.first[0])
    drawable = environment.can_render()
    env = environment.make(render_mode="rgb_array" if drawable else None)
    observations, frames = [], []
    try:
        observation = restart(env, clip.starts[0])
        for step in range(len(clip.actions) + 1):
            if step > 0:
                observation, *_ = env.step(clip.actions[step - 1])
            if step >= first:
                observations.append(np.asarray(observation))
                if drawable:
                    frames.append(drawn(env, width))
    finally:
        env.close()
    rows = np.minimum(np.arange(segments.steps + 1), len(observations) - 1)
    played = np.stack(observations)[rows]
    if not np.allclose(played, recorded, rtol=TOLERANCE, atol=TOLERANCE):
        raise ConfigurationError(
            f"environment.frames: '{environment.id}' does not repeat an episode from its start "
            "and actions, so its clips cannot be replayed; set a width, so that frames are recorded"
        )
    return played, np.stack(frames)[rows] if drawable else None
