"""Plots of a run, as PNG bytes."""

from collections.abc import Mapping, Sequence
from io import BytesIO
from textwrap import wrap
from typing import TYPE_CHECKING

import numpy as np

from rlhf_core.types import Metrics

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def learning_curve(
    steps: Sequence[int],
    returns: Sequence[float],
    labels: Sequence[int],
    title: str,
    references: Mapping[str, float | None] | None = None,
) -> bytes:
    """Plot true return against environment steps, with the labels so far under it.

    Args:
        steps: of each round.
        returns: of each round.
        labels: so far, of each round.
        title: of the plot.
        references: true returns to compare with, by their meaning; a line is drawn for each.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4.4), dpi=110, layout="constrained")
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    top.plot(steps, returns, marker="o", color="tab:blue")
    top.set(ylabel="true return (IQM)", title=title)
    known = {name: value for name, value in (references or {}).items() if value is not None}
    for style, (name, value) in zip(("--", ":", "-."), known.items(), strict=False):
        top.axhline(value, color="tab:gray", linestyle=style, label=f"{name} ({value:.0f})")
    if known:
        top.legend(frameon=False, fontsize="small")
    bottom.step(steps, labels, where="post", color="tab:orange")
    bottom.set(ylabel="labels", xlabel="environment steps", ylim=(0, None))
    for axes in (top, bottom):
        axes.grid(alpha=0.3)
    return _png(figure)


def reward_against_truth(learned: np.ndarray, true: np.ndarray, title: str) -> bytes:
    """Plot learned reward against true reward, one point for each step of the newest policy."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.8, 4.4), dpi=110, layout="constrained")
    axes = figure.subplots()
    axes.scatter(true, learned, s=6, alpha=0.35, color="tab:blue", linewidths=0)
    axes.set(xlabel="true reward", ylabel="learned reward", title=title)
    axes.grid(alpha=0.3)
    return _png(figure)


def proxy_and_true(
    steps: Sequence[int],
    gains: Sequence[float],
    returns: Sequence[float],
    alarmed: Sequence[bool],
    reasons: Sequence[str] = (),
) -> bytes:
    """Plot the gain in learned reward and the true return on one axis from 0 to 1.

    The proxy is the sum of each round's gain in the reward that was optimised in it, because every
    fit shifts the reward. Lines that diverge show reward hacking.

    Args:
        steps: of each round.
        gains: in learned reward, of each round.
        returns: of each round.
        alarmed: whether the guard was alarmed in each round.
        reasons: why; they stand under the plot.
    """
    from matplotlib.figure import Figure

    text = "\n".join(line for reason in reasons for line in wrap(reason, 100))
    height = 3.6 + 0.16 * len(text.splitlines())
    figure = Figure(figsize=(6.4, height), dpi=110, layout="constrained")
    axes = figure.subplots()
    for values, label, colour in (
        (np.cumsum(gains), "proxy return (sum of gains)", "tab:orange"),
        (np.asarray(returns), "true return (IQM)", "tab:blue"),
    ):
        span = np.ptp(values)
        axes.plot(steps, (values - values.min()) / (span or 1.0), "o-", color=colour, label=label)
    alarms = [step for step, alarm in zip(steps, alarmed, strict=True) if alarm]
    for index, step in enumerate(alarms):
        name = None if index else "alarm of the guard"
        axes.axvline(step, color="tab:red", linestyle=":", label=name)
    if text:
        figure.supxlabel(text, fontsize=7, color="tab:red", x=0.02, ha="left")
    axes.set(xlabel="environment steps", ylabel="share of the run's range")
    axes.legend(frameon=False)
    axes.grid(alpha=0.3)
    return _png(figure)


def reward_quality(history: Sequence[Metrics]) -> bytes:
    """Plot held-out accuracy and its ceiling, calibration, correlations and distance."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.6, 3.6), dpi=110, layout="constrained")
    labels, truth = figure.subplots(1, 2, sharex=True)
    panels = {
        labels: {
            "reward/accuracy_ceiling": "the answers' own accuracy (majority)",
            "reward/heldout_accuracy": "accuracy on held-out labels",
            "reward/fresh_accuracy": "accuracy on fresh clips, before the fit",
            "reward/calibration_error": "calibration error",
        },
        truth: {
            "proxy/true_correlation": "Pearson, on-policy",
            "proxy/true_rank_correlation": "Spearman, on-policy",
            "proxy/off_policy_correlation": "Pearson, off-policy",
            "reward/starc_distance": "STARC distance, off-policy",
        },
    }
    for axes, lines in panels.items():
        for name, label in lines.items():
            points = [(m["policy/steps"], m[name]) for m in history if name in m]
            if points:
                axes.plot(*zip(*points, strict=True), "o-", markersize=4, label=label)
        axes.set(xlabel="environment steps")
        if axes.lines:
            axes.legend(frameon=False, fontsize=8)
        axes.grid(alpha=0.3)
    labels.set(title="learned reward and the labels", ylim=(-0.05, 1.05))
    truth.set(title="learned reward and the truth", ylim=(-1.05, 1.05))
    return _png(figure)


def _png(figure: "Figure") -> bytes:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    buffer = BytesIO()
    FigureCanvasAgg(figure).print_png(buffer)
    return buffer.getvalue()
