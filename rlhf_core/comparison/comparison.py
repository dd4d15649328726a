"""The result of a comparison: tables, their text forms, figures and the report."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pandas import DataFrame

    from rlhf_core.comparison.details import Details


@dataclass(frozen=True, eq=False)
class Comparison:
    """Statistics of a comparison of runs. Frames are sorted best first within each task."""

    name: str
    level: float
    """Nominal coverage of the intervals."""
    control: str | None
    """Cell that was named to measure the others against."""
    references: tuple[str, ...]
    """Cells trained on the true reward."""
    table: "DataFrame"
    """One row for each task and cell."""
    pairwise: "DataFrame"
    """One row for each pair of cells of a task."""
    curves: "DataFrame"
    """Interquartile mean over seeds by task, cell, axis (`env_steps`, `labels`) and x."""
    at_labels: "DataFrame"
    """Return at 20, 50, 100 and 200 labels, by task and cell."""
    profiles: "DataFrame"
    """Share of a cell's runs above each threshold of the true return."""
    overall: "DataFrame"
    """All tasks together, on normalised scores; empty for one task."""
    failed: "DataFrame"
    """Runs without a return, and why."""
    answers: Mapping[str, str]
    """Which cell won, by how much and how surely, by task."""
    runs: "DataFrame"
    """The checked runs, with `status` and `strategy` filled in."""
    rounds: "DataFrame"
    """The checked curves of the single runs."""

    @property
    def answer(self) -> str:
        """Which cell won, by how much and how surely, for one task after the other."""
        if len(self.answers) == 1:
            return next(iter(self.answers.values()))
        return " ".join(f"{task}: {answer}" for task, answer in self.answers.items())

    @property
    def tasks(self) -> list[str]:
        """Names of the tasks, in the order of the runs."""
        return list(dict.fromkeys(self.runs["task"]))

    def markdown(self) -> str:
        """Answer and table as Markdown."""
        from rlhf_core.comparison.tables import markdown

        return markdown(self)

    def csv(self) -> str:
        """Every column of the table as comma-separated values."""
        return str(self.table.to_csv(index=False))

    def latex(self) -> str:
        """Table as LaTeX, for a document that loads `booktabs`."""
        from rlhf_core.comparison.tables import latex

        return latex(self)

    def html(self, details: "Details | None" = None) -> str:
        """Self-contained report: one HTML page without anything from elsewhere.

        Args:
            details: links, films, settings, versions and notes to show beside the numbers.
        """
        from rlhf_core.comparison.report import html

        return html(self, details)

    def figures(self) -> dict[str, str]:
        """SVG text by the figure's name; with several tasks a name ends with `-` and the task's.

        Text and axes take the colour of the page that a figure stands on, black by itself.
        """
        from rlhf_core.comparison.figures import all_figures

        return all_figures(self)
