"""Forest plots: each cell against its control."""

import numpy as np

from rlhf_core.comparison.figures.styles import short_name
from rlhf_core.comparison.figures.svg import new_figure, svg_text
from rlhf_core.comparison.figures.task import TaskFrames, focus
from rlhf_core.comparison.numbers import with_interval

KINDS = {
    "difference": ("difference of IQM from the control", 0.0),
    "improvement": ("probability of improvement over the control", 0.5),
}


def forest_plot(task: TaskFrames, kind: str) -> str | None:
    """Draw differences, or probabilities of improvement, with their intervals.

    Args:
        task: the frames.
        kind: of `KINDS`.

    Returns:
        The figure; None where the value is known for no cell.
    """
    rows = [row for row in task.rows if row["control"] and not np.isnan(row[kind])]
    if not rows:
        return None
    title, neutral = KINDS[kind]
    figure, axes = new_figure(1.0 + 0.28 * len(rows))
    tips: dict[str, list[str]] = {}
    inside = [row for row in rows if not task.is_null(row["cell"])] or rows
    low, high = (-0.02, 1.02)
    if kind == "difference":
        values = np.array([row[kind] for row in inside] + [neutral], dtype=np.float64)
        ends = [[row[f"{kind}_low"], row[f"{kind}_high"]] for row in inside]
        low, high = focus(values, np.array(ends, dtype=np.float64).ravel())
    axes.axvline(neutral, color="#808080", linewidth=1.2)
    descriptions = []
    for position, row in enumerate(rows):
        style = task.styles[row["cell"]]
        value, start, end = row[kind], row[f"{kind}_low"], row[f"{kind}_high"]
        digits = 2 if kind == "improvement" else None
        text = with_interval(value, start, end, digits)
        descriptions.append(f"{row['cell']} against {row['control']} {text}")
        axes.hlines(position, start, end, color=style.colour, linewidth=2)
        (point,) = axes.plot(
            [min(max(value, low), high)],
            [position],
            marker=style.marker if low <= value <= high else ("<" if value < low else ">"),
            color=style.colour,
            markersize=6,
            clip_on=False,
        )
        point.set_gid(f"point{position}")
        tips[f"point{position}"] = [descriptions[-1]]
    axes.set(xlabel=title, xlim=(low, high))
    axes.set_yticks(range(len(rows)), [short_name(row["cell"]) for row in rows])
    axes.set_ylim(len(rows) - 0.4, -0.6)
    return svg_text(figure, f"{title.capitalize()}, {task.name}: {'; '.join(descriptions)}.", tips)
