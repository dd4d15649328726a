"""The report of runs: statistics and one page, from what the tracking store knows."""

import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from rlhf_core.comparison import Comparison, Details, compare
from rlhf_core.differences import flatten
from rlhf_core.texts import number
from tasks.runs.content import NUMERIC, code_version
from tasks.tracking import records, results
from tasks.tracking.results import Member
from tasks.tracking.store import Tracker

if TYPE_CHECKING:
    from pandas import DataFrame
    from rich.table import Table

WIDTH = 100
"""Columns of a table in text."""
FILM = "video/policy.gif"
VERSIONS = ("rlhf-flows", *NUMERIC, "prefect", "mlflow")


@dataclass(frozen=True)
class Criteria:
    """What to compare with."""

    name: str
    control: str | None = None
    """The cell that others are measured against; None: the best of the others."""
    failure_below: float | dict[str, float] | None = None
    """A seed whose true return is lower counts as failed."""


def compared(tracker: Tracker, members: Sequence[Member], criteria: Criteria) -> Comparison:
    """The statistics of runs."""
    runs, curves = results.frames(tracker, members)
    return compare(
        runs,
        curves,
        name=criteria.name,
        control=criteria.control,
        failure_below=criteria.failure_below,
    )


def page(
    tracker: Tracker,
    comparison: Comparison,
    members: Sequence[Member],
    definition: str | None = None,
    links: Mapping[str, str] | None = None,
) -> str:
    """The report as one page of HTML.

    Args:
        tracker: where the runs are.
        comparison: their statistics.
        members: the runs.
        definition: of the comparison, in YAML.
        links: addresses by their name.
    """
    details = Details(
        links=dict(links or {}),
        films=films(tracker, comparison),
        settings=settings(tracker, members),
        versions=versions(),
        definition=definition or "",
        made=datetime.now(UTC),
    )
    return comparison.html(details)


def films(tracker: Tracker, comparison: Comparison) -> dict[str, bytes]:
    """A film of the final policy of each cell, the best first: that of the median seed."""
    films = dict[str, bytes]()
    several = len(comparison.tasks) > 1
    for task, cell in zip(comparison.table["task"], comparison.table["cell"], strict=True):
        runs = comparison.runs
        runs = runs[(runs["task"] == task) & (runs["cell"] == cell)].dropna(subset="true_return")
        ordered = runs.sort_values("true_return")["run_id"].tolist()
        film = records.content(tracker, ordered[len(ordered) // 2], FILM) if ordered else None
        if film is not None:
            films[label_of(task, cell, several)] = film
    return films


def settings(tracker: Tracker, members: Sequence[Member]) -> dict[str, dict[str, Any]]:
    """Every field of each cell, as its first run was configured."""
    fields_of: dict[str, dict[str, Any]] = {}
    several = len({member.task for member in members}) > 1
    for member in members:
        label = label_of(member.task, member.cell, several)
        if member.run_id is not None and label not in fields_of:
            fields = results.configuration(tracker, member.run_id)
            if fields is not None:
                fields_of[label] = {
                    name: value for name, value in flatten(fields).items() if name != "seed"
                }
    return fields_of


def label_of(task: str, cell: str, several: bool) -> str:
    """Unlike that of every other cell of the report."""
    return f"{task}/{cell}" if several else cell


def versions() -> dict[str, str]:
    """Versions of the libraries that are installed, and of the code."""
    from importlib.metadata import PackageNotFoundError

    installed = {"Python": platform.python_version(), "code": code_version()[:12]}
    for name in VERSIONS:
        try:
            installed[name] = version(name)
        except PackageNotFoundError:
            continue
    return installed


def as_json(comparison: Comparison) -> str:
    """Answer, table and runs as one JSON object."""
    content = {
        "name": comparison.name,
        "answer": comparison.answer,
        "table": records_of(comparison.table),
        "pairwise": records_of(comparison.pairwise),
        "runs": records_of(comparison.runs),
    }
    return json.dumps(content, allow_nan=False) + "\n"


def as_text(comparison: Comparison) -> str:
    """Answer and table in plain text."""
    from rich.console import Console

    console = Console(width=WIDTH)
    with console.capture() as captured:
        console.print(_table(records_of(comparison.table)))
    return captured.get() + comparison.answer + "\n"


def _table(rows: Sequence[Mapping[str, Any]]) -> "Table":
    """The cells, the best first."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    tasks = len({row["task"] for row in rows}) > 1
    for name in (*(["task"] if tasks else []), "cell"):
        table.add_column(name, overflow="fold")
    for name in ("seeds", "IQM", "95 % interval", "failures", "P(better)", "labels"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        low, high = row["ci_low"], row["ci_high"]
        table.add_row(
            *([Text(row["task"])] if tasks else []),
            Text(row["cell"]),
            str(row["seeds"]),
            number(row["iqm"], 1),
            "-" if low is None else f"{low:.1f} to {high:.1f}",
            number(row["failures"], 0),
            number(row["improvement"], 2),
            number(row["labels"], 0),
        )
    return table


def records_of(frame: "DataFrame") -> list[dict[str, Any]]:
    """Rows for JSON, which has neither NaN nor infinity."""
    rows = frame.to_dict(orient="records")
    return [{str(name): _plain(value) for name, value in row.items()} for row in rows]


def _plain(value: Any) -> Any:
    value = value.item() if hasattr(value, "item") else value
    return None if isinstance(value, float) and value - value != 0 else value
