"""Pictures of a run, as PNG bytes."""

from collections.abc import Sequence
from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def learning_curve(
    steps: Sequence[int], returns: Sequence[float], labels: Sequence[int], title: str
) -> bytes:
    """True return against environment steps, with the labels bought so far under it."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4.4), dpi=110, layout="constrained")
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    top.plot(steps, returns, marker="o", color="tab:blue")
    top.set(ylabel="true return (IQM)", title=title)
    bottom.step(steps, labels, where="post", color="tab:orange")
    bottom.set(ylabel="labels", xlabel="environment steps", ylim=(0, None))
    for axes in (top, bottom):
        axes.grid(alpha=0.3)
    return _png(figure)


def reward_against_truth(learned: np.ndarray, true: np.ndarray, title: str) -> bytes:
    """Learned reward against true reward, one point a step of the newest policy."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.8, 4.4), dpi=110, layout="constrained")
    axes = figure.subplots()
    axes.scatter(true, learned, s=6, alpha=0.35, color="tab:blue", linewidths=0)
    axes.set(xlabel="true reward", ylabel="learned reward", title=title)
    axes.grid(alpha=0.3)
    return _png(figure)


def _png(figure: "Figure") -> bytes:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    buffer = BytesIO()
    FigureCanvasAgg(figure).print_png(buffer)
    return buffer.getvalue()
