"""Every seed as a point, and the shares of seeds above each return."""

import numpy as np

from rlhf_core.comparison.figures.styles import short_name
from rlhf_core.comparison.figures.svg import add_legend, new_figure, svg_text
from rlhf_core.comparison.figures.task import TaskFrames, focus
from rlhf_core.comparison.numbers import plain, with_interval


def strip_plot(task: TaskFrames) -> str | None:
    """Draw one row of points for each cell, best on top, with its interquartile mean and interval.

    Null controls that lie far away are arrows at the edge.
    """
    rows = task.rows
    if not rows:
        return None
    figure, axes = new_figure(1.0 + 0.3 * len(rows))
    tips: dict[str, list[str]] = {}
    inside = [row for row in rows if not task.is_null(row["cell"])] or rows
    names = [row["cell"] for row in inside]
    returns = task.runs[task.runs["cell"].isin(names)]["true_return"].to_numpy(np.float64)
    ends = np.array([[row["ci_low"], row["ci_high"]] for row in inside], dtype=np.float64)
    low, high = focus(returns, ends.ravel())
    for position, row in enumerate(rows):
        style = task.styles[row["cell"]]
        runs = task.runs[task.runs["cell"] == row["cell"]]
        values = runs["true_return"].to_numpy(np.float64)
        visible = (values >= low) & (values <= high)
        axes.hlines(position, row["ci_low"], row["ci_high"], color=style.colour, alpha=0.35, lw=6)
        axes.vlines(row["iqm"], position - 0.32, position + 0.32, color=style.colour, lw=2)
        heights = position + np.linspace(-0.2, 0.2, len(values)) if len(values) > 1 else [position]
        points = axes.scatter(
            np.where(visible, values, np.where(values < low, low, high)),
            heights,
            s=18,
            marker=style.marker,
            color=style.colour,
            linewidths=0,
            alpha=0.9,
            clip_on=False,
        )
        points.set_gid(f"seeds{position}")
        tips[f"seeds{position}"] = [
            f"{row['cell']}, seed {seed}: {plain(value)}"
            for seed, value in zip(runs["seed"], values, strict=True)
        ]
        if not visible.any():
            side = "left" if values.max() < low else "right"
            arrow = f"← {plain(row['iqm'])}" if side == "left" else f"{plain(row['iqm'])} →"
            axes.annotate(
                arrow,
                (low if side == "left" else high, position),
                xytext=(8 if side == "left" else -8, 0),
                textcoords="offset points",
                ha=side,
                va="center",
                fontsize="small",
            )
    axes.set(xlabel="true return at the end of each seed", xlim=(low, high))
    axes.set_yticks(range(len(rows)), [short_name(row["cell"]) for row in rows])
    axes.set_ylim(len(rows) - 0.4, -0.6)
    description = ", ".join(
        f"{row['cell']} {with_interval(row['iqm'], row['ci_low'], row['ci_high'])}, worst "
        f"{plain(row['worst'])}"
        for row in rows
    )
    return svg_text(figure, f"True return of every seed, {task.name}: {description}.", tips)


def profile_plot(task: TaskFrames) -> str | None:
    """Draw the share of seeds above each return; None without a finished run.

    The two best cells that compete have a Wilson band: with few seeds the bands of all cells would
    cover each other.
    """
    if not len(task.profiles):
        return None
    figure, axes = new_figure(3.3)
    with_band = [cell for cell in task.table["cell"] if not task.is_control(cell)][:2]
    for cell in task.table["cell"]:
        profile = task.profiles[task.profiles["cell"] == cell]
        style = task.styles[cell]
        x, share, low, high = profile[["threshold", "share", "low", "high"]].to_numpy().T
        axes.plot(
            x,
            share,
            color=style.colour,
            linestyle=style.line,
            drawstyle="steps-mid",
            lw=1.6,
            label=short_name(cell),
        )
        if cell in with_band:
            axes.fill_between(x, low, high, color=style.colour, alpha=0.08, linewidth=0, step="mid")
    values = task.runs[~task.runs["cell"].map(task.is_null)]["true_return"].to_numpy(np.float64)
    if len(values):
        axes.set_xlim(*focus(values, values))
    axes.set(xlabel="true return", ylabel="share of seeds above it", ylim=(-0.03, 1.03))
    add_legend(figure, axes.get_legend_handles_labels()[0])
    medians = ", ".join(f"{row['cell']} {plain(row['median'])}" for row in task.rows)
    return svg_text(
        figure, f"Performance profiles, {task.name}. Half the seeds are above: {medians}.", {}
    )
