"""Figures of a comparison as SVG text."""

import re
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING

from rlhf_core.comparison.figures.curves import learning_curves
from rlhf_core.comparison.figures.feedback import (
    cost_frontier,
    label_bars,
    proxy_against_true,
    reward_quality,
)
from rlhf_core.comparison.figures.forest import forest_plot
from rlhf_core.comparison.figures.seeds import profile_plot, strip_plot
from rlhf_core.comparison.figures.svg import drawing
from rlhf_core.comparison.figures.task import TaskFrames, task_frames

if TYPE_CHECKING:
    from rlhf_core.comparison.comparison import Comparison

FIGURES: Mapping[str, Callable[[TaskFrames], str | None]] = MappingProxyType(
    {
        "curves_by_steps": partial(learning_curves, axis="env_steps"),
        "curves_by_labels": partial(learning_curves, axis="labels"),
        "returns_at_labels": label_bars,
        "seeds": strip_plot,
        "profiles": profile_plot,
        "differences": partial(forest_plot, kind="difference"),
        "improvement": partial(forest_plot, kind="improvement"),
        "cost_frontier": cost_frontier,
        "proxy_against_true": proxy_against_true,
        "heldout_accuracy": partial(reward_quality, quality="heldout_accuracy"),
        "proxy_correlation": partial(reward_quality, quality="proxy_correlation"),
    }
)
"""Each figure by its name, in the order of the report."""


def figures_of_task(comparison: "Comparison", task: str) -> dict[str, str]:
    """SVG text by name, of those figures that the runs of a task allow."""
    frames = task_frames(comparison, task)
    with drawing():
        texts = {name: draw(frames) for name, draw in FIGURES.items()}
    return {name: text for name, text in texts.items() if text is not None}


def all_figures(comparison: "Comparison") -> dict[str, str]:
    """Figures of every task; with several tasks a name ends with `-` and the task's."""
    figures: dict[str, str] = {}
    for task, slug in slugs_of(comparison.tasks).items():
        end = f"-{slug}" if len(comparison.tasks) > 1 else ""
        of_task = figures_of_task(comparison, task)
        figures |= {f"{name}{end}": text for name, text in of_task.items()}
    return figures


def slugs_of(names: Iterable[str]) -> dict[str, str]:
    """Make names fit for files and for identifiers of a page, no two alike."""
    slugs: dict[str, str] = {}
    for name in names:
        plain = re.sub(r"[^A-Za-z0-9_]+", "-", name).strip("-") or "task"
        slug, count = plain, 1
        while slug in slugs.values():
            count += 1
            slug = f"{plain}-{count}"
        slugs[name] = slug
    return slugs
