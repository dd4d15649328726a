"""A clip as curves over time, for environments that do not draw themselves.

One strip for each number of the observation, then one for each number of the action. All clips of a
request share the scale of a strip, so that two of them can be compared. Lines and letters take the
page's own colours (`currentColor` and the classes `curve`, `action`, `after`, `playhead`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
from jaxtyping import Float

OBSERVATIONS, ACTIONS = 6, 2
"""Strips at the most."""
WIDTH, STRIP, GAP, LEFT, RIGHT, TOP, BOTTOM = 320, 46, 12, 44, 8, 10, 22
"""Units of the drawing: width of all, height of a strip, space between two, and the margins."""


@dataclass(frozen=True)
class Strip:
    """One curve: its values over time, and the range that all clips share."""

    name: str
    values: Float[np.ndarray, " rows"]
    low: float
    high: float
    steps: bool = False
    """Whether the value holds until the next one, as an action does."""


def strips(
    observations: np.ndarray, actions: np.ndarray, all_observations: np.ndarray,
    all_actions: np.ndarray,
) -> list[Strip]:  # fmt: skip
    """The curves of one clip.

    Args:
        observations: (rows, ...) of the clip.
        actions: (steps, ...) of the clip.
        all_observations: (S, rows, ...) of all clips, for the scales.
        all_actions: (S, steps, ...) of all clips.
    """
    return [
        *_of("observation", observations, all_observations, OBSERVATIONS, False),
        *_of("action", actions, all_actions, ACTIONS, True),
    ]


def _of(name: str, values: np.ndarray, every: np.ndarray, most: int, steps: bool) -> list[Strip]:
    size = int(np.prod(values.shape[1:]))
    flat = values.reshape(len(values), size).astype(np.float64)
    whole = every.reshape(int(np.prod(every.shape[:2])), size).astype(np.float64)
    found = []
    for column in range(min(flat.shape[1], most)):
        known = whole[np.isfinite(whole[:, column]), column]
        low, high = (float(known.min()), float(known.max())) if known.size else (0.0, 1.0)
        if low == high:
            low, high = low - 0.5, high + 0.5
        number = f" {column + 1}" if flat.shape[1] > 1 else ""
        found.append(Strip(f"{name}{number}", flat[:, column], low, high, steps))
    return found


def svg(curves: Sequence[Strip], rows: int, end: int, alt: str) -> str:
    """Draw the curves.

    Args:
        curves: from top to bottom.
        rows: moments of the clip.
        end: the last moment of the episode; what comes after it is hatched.
        alt: the clip in words.
    """
    height = TOP + len(curves) * (STRIP + GAP) - GAP + BOTTOM
    right, bottom = WIDTH - RIGHT, height - BOTTOM
    last = max(rows - 1, 1)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" '
        f'font-family="system-ui, sans-serif" font-size="10" fill="none" stroke="currentColor">',
        f"<title>{escape(alt)}</title>",
    ]
    for index, strip in enumerate(curves):
        parts += _strip(strip, TOP + index * (STRIP + GAP), last)
    if end < rows - 1:
        at = _across(end, last)
        parts.append(
            f'<rect class="after" x="{at:g}" y="{TOP}" width="{right - at:g}" '
            f'height="{bottom - TOP}" fill="currentColor" fill-opacity="0.12" stroke="none"/>'
        )
    for step in sorted({0, last // 2, last}):
        anchor = "start" if step == 0 else "end" if step == last else "middle"
        parts.append(_letters(f"{step}", _across(step, last), height - 8, anchor))
    parts.append(
        f'<line class="playhead" x1="{LEFT}" x2="{LEFT}" y1="{TOP}" y2="{bottom}" '
        f'data-left="{LEFT}" data-right="{right}" stroke-width="1.5"/></svg>'
    )
    return "".join(parts)


def _across(step: float, last: int) -> float:
    return round(LEFT + (WIDTH - RIGHT - LEFT) * step / last, 1)


def _letters(text: str, x: float, y: float, anchor: str) -> str:
    return (
        f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}" fill="currentColor" stroke="none" '
        f'fill-opacity="0.75">{escape(text)}</text>'
    )


def _strip(strip: Strip, top: int, last: int) -> list[str]:
    share = (strip.values - strip.low) / (strip.high - strip.low)
    points: list[str] = []
    for step, value in enumerate(share):
        # A value that is no number leaves a gap.
        if not np.isfinite(value):
            points.append("")
            continue
        move = "L" if points and points[-1] else "M"
        x, y = _across(step, last), round(top + STRIP * (1 - float(value)), 1)
        hold = f"L{_across(step + 1, last):g} {y:g}" if strip.steps else ""
        points.append(f"{move}{x:g} {y:g}{hold}")
    kind = "action" if strip.steps else "curve"
    return [
        f'<rect x="{LEFT}" y="{top}" width="{WIDTH - RIGHT - LEFT}" height="{STRIP}" '
        'stroke-opacity="0.2" stroke-width="0.8"/>',
        _letters(f"{strip.high:.3g}", LEFT - 5, top + 8, "end"),
        _letters(f"{strip.low:.3g}", LEFT - 5, top + STRIP, "end"),
        f'<path class="{kind}" d="{"".join(points)}" stroke-width="1.8" stroke-linejoin="round"/>',
        _letters(strip.name, LEFT + 5, top + 11, "start"),
    ]
