"""Learning curves, with the controls as reference lines."""

from typing import TYPE_CHECKING

import numpy as np

from rlhf_core.comparison.figures.styles import short_name
from rlhf_core.comparison.figures.svg import add_legend, new_figure, svg_text
from rlhf_core.comparison.figures.task import TaskFrames
from rlhf_core.comparison.numbers import plain, with_interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D
    from pandas import DataFrame

LONGER = 8
"""Curves of which one is so many times longer than another have a logarithmic axis."""
TITLES = {"env_steps": "environment steps", "labels": "labels"}


def learning_curves(task: TaskFrames, axis: str) -> str | None:
    """Draw interquartile mean and interval over seeds along an axis; None without a curve.

    Null controls, and over labels the true reward too, are horizontal lines at their final level.
    """
    from matplotlib.lines import Line2D

    points = task.curves[task.curves["axis"] == axis]
    cells = [
        cell
        for cell in task.table["cell"]
        if (points["cell"] == cell).any() and not _is_line(task, cell, axis)
    ]
    if not cells:
        return None
    figure, axes = new_figure(3.3)
    low_limit, high_limit = _limits(task, points[points["cell"].isin(cells)])
    handles: list[Line2D] = []
    tips: dict[str, list[str]] = {}
    for index, cell in enumerate(cells):
        curve = points[points["cell"] == cell]
        x, iqm, low, high = curve[["x", "iqm", "ci_low", "ci_high"]].to_numpy(np.float64).T
        style = task.styles[cell]
        axes.fill_between(x, low, high, color=style.colour, alpha=0.13, linewidth=0)
        axes.plot(x, iqm, color=style.colour, linestyle=style.line, linewidth=1.5)
        visible = (iqm >= low_limit) & (iqm <= high_limit)
        (marks,) = axes.plot(x[visible], iqm[visible], style.marker, color=style.colour, ms=3.5)
        marks.set_gid(f"curve{index}")
        tips[f"curve{index}"] = [
            f"{cell}: {with_interval(*point)} at {where:,.0f} {TITLES[axis]}"
            for where, *point in zip(
                x[visible], iqm[visible], low[visible], high[visible], strict=True
            )
        ]
        handles.append(
            Line2D(
                [],
                [],
                color=style.colour,
                linestyle=style.line,
                marker=style.marker,
                markersize=3.5,
                label=short_name(cell),
            )
        )
    handles += _reference_lines(task, axes, axis, (low_limit, high_limit))
    axes.set_ylim(low_limit, high_limit)
    axes.set(xlabel=TITLES[axis], ylabel="true return (IQM)")
    own = points[points["cell"].isin(cells)]
    lengths = own.groupby("cell")["x"].max()
    if axis == "env_steps" and own["x"].min() > 0 and lengths.max() > LONGER * lengths.min():
        axes.set_xscale("log")
        axes.set_xlabel(f"{TITLES[axis]} (logarithmic)")
    else:
        axes.set_xlim(0, None)
    axes.xaxis.set_major_formatter(lambda value, _: thousands(value))
    axes.xaxis.set_minor_formatter(lambda value, _: "")
    add_legend(figure, handles)
    ends = [(cell, points[points["cell"] == cell]["iqm"].iloc[-1]) for cell in cells]
    description = ", ".join(f"{cell} {plain(value)}" for cell, value in ends)
    return svg_text(
        figure, f"True return over {TITLES[axis]}, {task.name}. Last points: {description}.", tips
    )


def thousands(value: float) -> str:
    """Write a count shortly: 50k, 1.5M."""
    for size, unit in ((1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:g}{unit}"
    return f"{value:g}"


def _is_line(task: TaskFrames, cell: str, axis: str) -> bool:
    return task.is_null(cell) or (axis == "labels" and cell in task.references)


def _reference_lines(
    task: TaskFrames, axes: "Axes", axis: str, limits: tuple[float, float]
) -> "list[Line2D]":
    """Draw the controls' final levels; the legend marks one beyond the limits with `off`."""
    lines = []
    for row in task.rows:
        if not _is_line(task, row["cell"], axis):
            continue
        style = task.styles[row["cell"]]
        inside = limits[0] <= row["iqm"] <= limits[1]
        name = f"{short_name(row['cell'])} ({plain(row['iqm'])}{'' if inside else ', off'})"
        line = axes.axhline(
            row["iqm"], color=style.colour, linestyle=style.line, linewidth=1, label=name
        )
        lines.append(line)
    return lines


def _limits(task: TaskFrames, points: "DataFrame") -> tuple[float, float]:
    """Choose limits for the second half of the curves, where their differences matter.

    Bands of few seeds and null controls far away do not count, or they would squeeze the curves.
    """
    spans = points.groupby("cell")["x"].transform("max")
    late = points[points["x"] >= spans / 2]["iqm"].to_numpy(np.float64)
    lines = [row["iqm"] for row in task.rows if row["cell"] in task.references]
    inside = np.array([*late, *lines])
    margin = 0.08 * float(np.ptp(inside)) or max(1.0, 0.1 * abs(inside[0]))
    return float(inside.min() - margin), float(inside.max() + margin)
