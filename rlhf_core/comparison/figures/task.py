"""Frames that the figures of one task are drawn from."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from rlhf_core.comparison.figures.styles import Style, styles_of
from rlhf_core.comparison.roles import NULL_CONTROLS

if TYPE_CHECKING:
    from pandas import DataFrame

    from rlhf_core.comparison.comparison import Comparison


@dataclass(frozen=True, eq=False)
class TaskFrames:
    """The frames of a comparison that belong to one task."""

    name: str
    table: "DataFrame"
    """Cells with a finished run, best first."""
    runs: "DataFrame"
    """Finished runs."""
    curves: "DataFrame"
    rounds: "DataFrame"
    profiles: "DataFrame"
    at_labels: "DataFrame"
    styles: dict[str, Style]
    references: tuple[str, ...]
    level: float

    @property
    def rows(self) -> list[dict[str, Any]]:
        """Rows of the table."""
        return list(self.table.to_dict("records"))

    def is_null(self, cell: str) -> bool:
        """Whether a cell is a null control."""
        strategies = dict(zip(self.table["cell"], self.table["strategy"], strict=True))
        return strategies.get(cell) in NULL_CONTROLS

    def is_control(self, cell: str) -> bool:
        """Whether a cell is a null control, or trained on the true reward."""
        return self.is_null(cell) or cell in self.references


def task_frames(comparison: "Comparison", task: str) -> TaskFrames:
    """Cut one task out of a comparison. A cell looks the same in every task."""

    def of_task(frame: "DataFrame") -> "DataFrame":
        return frame[frame["task"] == task]

    table = of_task(comparison.table)
    runs = of_task(comparison.runs)
    return TaskFrames(
        name=task,
        table=table[table["seeds"] > 0],
        runs=runs[runs["status"] == "finished"],
        curves=of_task(comparison.curves),
        rounds=of_task(comparison.rounds),
        profiles=of_task(comparison.profiles),
        at_labels=of_task(comparison.at_labels),
        styles=styles_of(comparison.table.drop_duplicates("cell")),
        references=comparison.references,
        level=comparison.level,
    )


def focus(points: np.ndarray, ends: np.ndarray) -> tuple[float, float]:
    """Choose limits that show all points, and of their intervals at most as much again.

    An interval of two seeds can be a hundred times as wide as the points.
    """
    low, high = float(points.min()), float(points.max())
    finite = ends[~np.isnan(ends)]
    span = high - low
    if span == 0:
        span = float(np.ptp(finite)) / 2 if len(finite) and np.ptp(finite) > 0 else abs(high) or 1.0
    inside = finite[(finite >= low - span) & (finite <= high + span)]
    wide = len(finite) > len(inside)
    low = min([low - span * 0.3 * wide, *inside.tolist(), low])
    high = max([high + span * 0.3 * wide, *inside.tolist(), high])
    margin = 0.06 * (high - low) or 0.5 * span
    return low - margin, high + margin
