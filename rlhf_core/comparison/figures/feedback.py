"""Figures of feedback: returns at some numbers of labels, reward quality, cost."""

import numpy as np

from rlhf_core.comparison.figures.curves import thousands
from rlhf_core.comparison.figures.styles import short_name
from rlhf_core.comparison.figures.svg import add_legend, new_figure, svg_text
from rlhf_core.comparison.figures.task import TaskFrames, focus
from rlhf_core.comparison.numbers import plain, with_interval
from rlhf_core.evaluation.statistics import interquartile_mean

MOST_ROUNDS = 8
QUALITIES = {
    "heldout_accuracy": "accuracy on held-out labels",
    "proxy_correlation": "correlation of learned and true reward",
}


def label_bars(task: TaskFrames) -> str | None:
    """Draw the return at 20, 50, 100 and 200 labels as bars; None where no run had so many."""
    frame = task.at_labels
    cells = [cell for cell in task.table["cell"] if (frame["cell"] == cell).any()]
    if not cells:
        return None
    counts = sorted(set(frame["labels"]))
    figure, axes = new_figure(3.3)
    tips: dict[str, list[str]] = {}
    width = 0.84 / len(cells)
    # Bars grow from the lowest level, because a return of zero has no meaning by itself.
    base = min(float(np.nanmin(frame[["iqm", "ci_low"]].to_numpy(np.float64))), frame["iqm"].min())
    descriptions = []
    for index, cell in enumerate(cells):
        style = task.styles[cell]
        for row in frame[frame["cell"] == cell].to_dict("records"):
            x = counts.index(row["labels"]) + (index - (len(cells) - 1) / 2) * width
            value = with_interval(row["iqm"], row["ci_low"], row["ci_high"])
            (bar,) = axes.bar(
                x,
                row["iqm"] - base,
                width * 0.9,
                bottom=base,
                color=style.colour,
                hatch=None if style.marker == "o" else "///",
                edgecolor="#ffffff66",
                linewidth=0,
                label=short_name(cell),
            )
            name = f"bar{index}at{row['labels']}"
            bar.set_gid(name)
            tips[name] = [f"{cell}: {value} at {row['labels']} labels, {row['seeds']} seeds"]
            descriptions.append(f"{cell} at {row['labels']} labels {plain(row['iqm'])}")
            axes.vlines(x, row["ci_low"], row["ci_high"], color="#808080", linewidth=1.2)
    add_legend(figure, axes.get_legend_handles_labels()[0])
    axes.set(xlabel="labels", ylabel="true return (IQM)")
    axes.set_xticks(range(len(counts)), [str(count) for count in counts])
    top = float(np.max(frame["iqm"]))
    axes.set_ylim(base, top + 0.1 * (top - base or 1.0))
    axes.grid(visible=False, axis="x")
    return svg_text(figure, f"True return by labels, {task.name}: {', '.join(descriptions)}.", tips)


def proxy_against_true(task: TaskFrames) -> str | None:
    """Draw each round's proxy return against its true return; None where no proxy is known.

    At most eight rounds of a run are drawn, the last among them.
    Learned rewards have a scale of their own, so each run is drawn on the range of its own proxy.
    """
    frame = task.rounds.dropna(subset=["proxy_return"])
    frame = frame[frame["cell"].isin(task.table["cell"])]
    if not len(frame):
        return None
    place = frame.groupby(["cell", "seed"]).cumcount()
    counts = frame.groupby(["cell", "seed"])["cell"].transform("size")
    stride = np.ceil(counts / MOST_ROUNDS)
    frame = frame[(counts - 1 - place) % stride == 0]
    figure, axes = new_figure(3.3)
    tips: dict[str, list[str]] = {}
    cells = [cell for cell in task.table["cell"] if (frame["cell"] == cell).any()]
    for index, cell in enumerate(cells):
        style = task.styles[cell]
        rounds = frame[frame["cell"] == cell]
        proxy = rounds.groupby("seed")["proxy_return"]
        spans = (proxy.transform("max") - proxy.transform("min")).replace(0, 1)
        heights = (rounds["proxy_return"] - proxy.transform("min")) / spans
        points = axes.scatter(
            rounds["true_return"],
            heights,
            s=10,
            marker=style.marker,
            color=style.colour,
            alpha=0.55,
            linewidths=0,
            label=short_name(cell),
        )
        points.set_gid(f"proxy{index}")
        tips[f"proxy{index}"] = [
            f"{cell}, seed {seed}: proxy {plain(learned)}, true {plain(true)}"
            for seed, learned, true in rounds[["seed", "proxy_return", "true_return"]].itertuples(
                index=False
            )
        ]
    axes.set(xlabel="true return", ylabel="proxy return, share of the run's range")
    add_legend(figure, axes.get_legend_handles_labels()[0])
    return svg_text(
        figure,
        f"Proxy return against true return in every round, {task.name}. Points that rise to the "
        "right show a learned reward that agrees with the true one.",
        tips,
    )


def reward_quality(task: TaskFrames, quality: str) -> str | None:
    """Draw the interquartile mean over seeds of a measure of the learned reward, by steps.

    Args:
        task: the frames.
        quality: of `QUALITIES`.

    Returns:
        The figure; None where no run has the measure.
    """
    frame = task.rounds.dropna(subset=[quality])
    cells = [cell for cell in task.table["cell"] if (frame["cell"] == cell).any()]
    if not cells:
        return None
    figure, axes = new_figure(3.3)
    tips: dict[str, list[str]] = {}
    descriptions = []
    for index, cell in enumerate(cells):
        style = task.styles[cell]
        groups = frame[frame["cell"] == cell].groupby("env_steps")[quality]
        steps = [step for step, _ in groups]
        middles = [interquartile_mean(values.to_numpy(np.float64)) for _, values in groups]
        (line,) = axes.plot(
            steps,
            middles,
            color=style.colour,
            linestyle=style.line,
            marker=style.marker,
            markersize=3.5,
            linewidth=1.4,
            label=short_name(cell),
        )
        line.set_gid(f"quality{index}")
        tips[f"quality{index}"] = [
            f"{cell}: {value:.2f} at {step:,.0f} environment steps"
            for step, value in zip(steps, middles, strict=True)
        ]
        descriptions.append(f"{cell} {middles[-1]:.2f}")
    axes.set(xlabel="environment steps", ylabel=QUALITIES[quality], xlim=(0, None))
    axes.xaxis.set_major_formatter(lambda value, _: thousands(value))
    add_legend(figure, axes.get_legend_handles_labels()[0])
    title = QUALITIES[quality].capitalize()
    return svg_text(figure, f"{title}, {task.name}. At the end: {', '.join(descriptions)}.", tips)


def cost_frontier(task: TaskFrames) -> str | None:
    """Draw return against cost and join the cells that no other one beats in both.

    The true reward needs no label and is a line; null controls are left out.
    The cost is that of the feedback; where none was counted, the labels. None where neither is.
    """
    rows = [row for row in task.rows if not task.is_control(row["cell"])]
    column = "cost" if any(row["cost"] > 0 for row in rows) else "labels"
    rows = [row for row in rows if not np.isnan(row[column])]
    if not any(row[column] > 0 for row in rows):
        return None
    figure, axes = new_figure(3.3)
    tips: dict[str, list[str]] = {}
    frontier = pareto_frontier([(row[column], row["iqm"]) for row in rows])
    best = [rows[index] for index in frontier]
    for row in task.rows:
        if row["cell"] in task.references:
            style = task.styles[row["cell"]]
            name = f"{short_name(row['cell'])} ({plain(row['iqm'])})"
            axes.axhline(row["iqm"], color=style.colour, linestyle=style.line, lw=1, label=name)
    axes.step(
        [row[column] for row in best],
        [row["iqm"] for row in best],
        where="post",
        color="#808080",
        linestyle="--",
        linewidth=1.2,
        label="no cell is cheaper and better",
    )
    for index, row in enumerate(rows):
        style = task.styles[row["cell"]]
        axes.vlines(row[column], row["ci_low"], row["ci_high"], color=style.colour, alpha=0.4)
        (point,) = axes.plot(
            [row[column]],
            [row["iqm"]],
            style.marker,
            color=style.colour,
            markersize=7,
            linestyle="none",
            label=short_name(row["cell"]),
        )
        point.set_gid(f"cost{index}")
        value = with_interval(row["iqm"], row["ci_low"], row["ci_high"])
        tips[f"cost{index}"] = [f"{row['cell']}: {value} for {column} {plain(row[column])}"]
    values = [row["iqm"] for row in task.rows if not task.is_null(row["cell"])]
    ends = [row[end] for row in rows for end in ("ci_low", "ci_high")]
    most = max(row[column] for row in rows)
    axes.set(
        xlabel=f"{column} of a run",
        ylabel="true return (IQM)",
        xlim=(0, 1.08 * most),
        ylim=focus(np.array(values), np.array(ends)),
    )
    add_legend(figure, axes.get_legend_handles_labels()[0])
    names = ", ".join(row["cell"] for row in best)
    return svg_text(
        figure, f"Return against {column}, {task.name}. On the frontier: {names}.", tips
    )


def pareto_frontier(points: list[tuple[float, float]]) -> list[int]:
    """Indices of the points that no other one beats: (cost, return), cheapest first."""
    order = sorted(range(len(points)), key=lambda index: (points[index][0], -points[index][1]))
    frontier: list[int] = []
    for index in order:
        if not frontier or points[index][1] > points[frontier[-1]][1]:
            frontier.append(index)
    return frontier
