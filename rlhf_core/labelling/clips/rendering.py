"""From a segment to what the page shows: a film, the environment's own view, or a plot."""

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from rlhf_core.environments.factory import Environment
from rlhf_core.environments.making import close
from rlhf_core.errors import ConfigurationError, RlhfError
from rlhf_core.evaluation.clips import replay
from rlhf_core.experiment import Experiment
from rlhf_core.labelling.clips import plot, views
from rlhf_core.labelling.clips.media import ClipView, Media, View
from rlhf_core.labelling.clips.sheet import columns, faded, frame_width, images, sheet, thinning
from rlhf_core.origin import described
from rlhf_core.types import Segments

RATE = 30.0
"""Frames per second of environments that do not say theirs, as in films of policies."""
STEPS_PER_SECOND = 10.0
"""Of plots and grids, where no film gives the pace."""


class Drawing(NamedTuple):
    """What an environment can do to show its clips."""

    renders: bool
    rate: float
    own: views.ViewFunction | None
    """Its own method `clip_view`."""


def describe(experiment: Experiment, segments: Segments, index: int) -> ClipView:
    """What is known of a clip without drawing it. Cheap after the first call for an environment.

    Args:
        experiment: of the run that asks.
        segments: of the request, cut with `replayable=True` for films.
        index: of the clip.

    Raises:
        ConfigurationError: the environment's own view fails, or is of a wrong type.
    """
    environment = experiment.environment
    own = _own_view(environment, segments, index)
    rows, end = segments.steps + 1, _end(segments, index)
    if own is not None:
        count = views.moments(own)
        return _standing(environment, views.view_of(own), count, end)
    if _are_images(segments) or _filmed(environment, segments):
        every = thinning(rows)
        rate = _drawing(environment).rate / every
        count = -(-rows // every)
        alt = f"Film of {environment.id}, {count / rate:.1f} seconds{_ending(rows, end, rate)}."
        return ClipView("film", count, rate, count / rate, alt, columns(count))
    curves = _curves(segments, index)
    changes = "; ".join(
        f"{curve.name} from {curve.values[0]:.3g} to {curve.values[-1]:.3g}"
        for curve in curves
        if len(curve.values)
    )
    alt = (
        f"Plot of {environment.id} over {rows - 1} steps"
        f"{_ending(rows, end, STEPS_PER_SECOND)}: {changes}."
    )
    return ClipView("plot", rows, STEPS_PER_SECOND, rows / STEPS_PER_SECOND, alt)


def render(experiment: Experiment, segments: Segments, index: int) -> Media:
    """Draw a clip.

    Args:
        experiment: of the run that asks.
        segments: of the request, cut with `replayable=True` for films.
        index: of the clip.

    Raises:
        ConfigurationError: the clip cannot be replayed, or the environment fails to draw itself.
    """
    known = describe(experiment, segments, index)
    environment, end = experiment.environment, _end(segments, index)
    if known.view == "film":
        content_type, content = "image/webp", _film(environment, segments, index, known.frames)
    elif known.view == "plot":
        drawing = plot.svg(_curves(segments, index), segments.steps + 1, end, known.alt)
        content_type, content = "image/svg+xml", drawing.encode()
    else:
        own = _own_view(environment, segments, index)
        assert own is not None, "the clip was described by it"
        content_type, content = "application/json", views.content(own)
    return Media(
        known.view, content_type, content, known.seconds, known.frames, known.rate, known.alt,
        known.columns,
    )  # fmt: skip


def _film(environment: Environment, segments: Segments, index: int, count: int) -> bytes:
    width = frame_width(count)
    try:
        if _filmed(environment, segments):
            _, frames = replay(environment, segments, index, width)
        else:
            frames = images(segments.observations[index], width)
    except RlhfError:
        raise
    except Exception as error:
        # The exception for a missing drawing library depends on the environment.
        raise ConfigurationError(
            f"'{environment.id}' fails while a clip is drawn: {described(error)}"
        ) from error
    if frames is None:
        raise ConfigurationError(f"'{environment.id}' has no render mode rgb_array any more")
    shown = faded(frames, _end(segments, index))
    return sheet(shown[:: thinning(len(shown))])


def _curves(segments: Segments, index: int) -> list[plot.Strip]:
    end = _end(segments, index)
    return plot.strips(
        segments.observations[index][: end + 1],
        segments.actions[index][:end],
        segments.observations,
        segments.actions,
    )


def _end(segments: Segments, index: int) -> int:
    """Steps of a clip without padding: the row of its last observation."""
    return int(segments.mask[index].sum())


def _ending(rows: int, end: int, rate: float) -> str:
    return f"; the episode ends after {end / rate:.1f} seconds" if end < rows - 1 else ""


def _standing(environment: Environment, view: View, count: int, end: int) -> ClipView:
    rate = STEPS_PER_SECOND if count > 1 else 0.0
    seconds = count / rate if rate else 0.0
    return ClipView(view, count, rate, seconds, f"{environment.id}, {end} steps, as {view}.")


def _filmed(environment: Environment, segments: Segments) -> bool:
    return segments.replays is not None and (
        segments.replays.frames is not None or _drawing(environment).renders
    )


def _are_images(segments: Segments) -> bool:
    """Whether observations are pictures themselves, as `spaces.is_image` has it."""
    observations = segments.observations
    return (
        observations.dtype == np.uint8
        and observations.ndim == 5
        and min(observations.shape[2], observations.shape[4]) in (1, 3)
    )


def _own_view(environment: Environment, segments: Segments, index: int) -> views.OwnView | None:
    drawing = _drawing(environment)
    function = views.registered_view(environment.id) or drawing.own
    if function is None:
        return None
    end = _end(segments, index)
    try:
        own = function(segments.observations[index][: end + 1], segments.actions[index][:end])
    except Exception as error:
        raise ConfigurationError(
            f"clip_view of '{environment.id}' fails: {described(error)}"
        ) from error
    if own is not None:
        views.view_of(own)
    return own


def _drawing(environment: Environment) -> Drawing:
    return _known(environment.model_dump_json())


@lru_cache(maxsize=64)
def _known(written: str) -> Drawing:
    environment = Environment.model_validate_json(written)
    renders = environment.frames is None and environment.can_render()
    env = environment.make(render_mode="rgb_array" if renders else None)
    try:
        rate = float(env.metadata.get("render_fps") or RATE)
        own = getattr(env.unwrapped, "clip_view", None)
    finally:
        close(env, environment.id)
    return Drawing(renders, rate, own)
