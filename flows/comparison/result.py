"""What came of a comparison: statistics, report and records."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from flows.comparison import members, report
from flows.comparison.members import Key
from flows.comparison.report import Criteria
from rlhf_core import comparison as statistics
from rlhf_core.comparison.numbers import plain
from rlhf_core.matrix import Cell, Matrix
from tasks.home import Home, write_private
from tasks.runs import comparisons
from tasks.runs.comparisons import Comparison
from tasks.tracking import listing, summaries
from tasks.tracking.results import Member
from tasks.tracking.summaries import SummaryLocation, SummaryRow

if TYPE_CHECKING:
    from pandas import DataFrame

FINAL = {
    "iqm": "final/iqm",
    "ci_low": "final/ci_low",
    "ci_high": "final/ci_high",
    "mean": "final/mean",
    "seeds": "final/seeds",
    "failure_rate": "final/failure_rate",
    "improvement": "final/probability_of_improvement",
    "normalised_score": "final/normalised_score",
    "auc_steps": "final/auc_steps",
    "auc_labels": "final/auc_labels",
    "return_per_label": "final/return_per_label",
    "return_per_cost": "final/return_per_cost",
    "labels": "final/labels",
    "cost": "final/cost",
    "env_steps": "final/env_steps",
    "seconds": "final/seconds",
    "heldout_accuracy": "reward/heldout_accuracy",
    "proxy_correlation": "proxy/true_correlation",
}
"""Columns of the table, and the metric of a summary run that each becomes."""
AXES = {"env_steps": "eval", "labels": "labels"}
"""Axes of the curves, and what the names of their metrics begin with."""
CURVE = ("iqm", "ci_low", "ci_high", "seeds")


def conclude(
    home: Home,
    record: Comparison,
    matrix: Matrix,
    cells: Sequence[Cell],
    finished: Mapping[Key, Mapping[str, Any]],
    failed: Mapping[Key, tuple[str, str | None]],
    prefect_page: str | None,
) -> dict[str, Any]:
    """Compare what was played, and write the report and the records; returns the result.

    Args:
        home: where the report is written.
        record: of the comparison.
        matrix: what is compared.
        cells: of the matrix.
        finished: summaries by cell and seed.
        failed: reasons by cell and seed, with the id of the run where there is one.
        prefect_page: address of the flow run's page, where that lasts.
    """
    tracker = record.tracker
    played = members.of_cells(cells, matrix.all_seeds, finished, failed)
    labels = comparisons.recorded_cells(tracker, record.run_id)
    played = members.with_earlier(tracker, record.run_id, played, labels)
    members.store(tracker, record.run_id, played)
    criteria = Criteria(matrix.name, matrix.control, matrix.failure_below)
    comparison = report.compared(tracker, played, criteria)
    definition = comparisons.definition(matrix)
    links = {} if prefect_page is None else {"Prefect": prefect_page}
    if tracker.remote:
        links["MLflow"] = listing.find_run(tracker, record.run_id).link
    html = report.page(tracker, comparison, played, definition, links)
    path = home.folder("reports") / f"{matrix.name}.html"
    write_private(path, html)
    written = record_summaries(record, comparison, played, html.encode())
    return {
        "name": matrix.name,
        "run_id": record.run_id,
        "answer": comparison.answer,
        "table": report.records_of(comparison.table),
        "failed": [
            {"cell": cell, "seed": seed, "reason": reason, "run_id": run_id}
            for (cell, seed), (reason, run_id) in failed.items()
        ],
        "runs": report.records_of(comparison.runs),
        "report": str(path),
        "text": report.as_text(comparison),
        "views": [one.view for one in written],
    }


def record_summaries(
    record: Comparison,
    comparison: statistics.Comparison,
    played: Sequence[Member],
    html: bytes,
) -> list[SummaryLocation]:
    """Write the summary runs, one a cell, beside the runs of each environment."""
    written = list[SummaryLocation]()
    for environment in dict.fromkeys(member.environment for member in played):
        tasks = [m.task for m in played if m.environment == environment]
        rows = list(_rows(comparison, list(dict.fromkeys(tasks))))
        written.append(
            summaries.write(record.tracker, environment, record.name, rows, comparison.answer, html)
        )
    return written


def _rows(comparison: statistics.Comparison, tasks: Sequence[str]) -> Iterator[SummaryRow]:
    for task in tasks:
        table = comparison.table[comparison.table["task"] == task]
        for rank, (_, row) in enumerate(table.iterrows(), 1):
            cell = str(row["cell"])
            label = report.label_of(task, cell, len(comparison.tasks) > 1)
            runs = comparison.runs
            runs = runs[(runs["task"] == task) & (runs["cell"] == cell)]
            columns = {name: row[column] for column, name in FINAL.items() if column in row.index}
            final = {name: float(value) for name, value in columns.items() if value == value}
            curves = comparison.curves
            curves = curves[(curves["task"] == task) & (curves["cell"] == cell)]
            yield SummaryRow(
                label,
                str(runs["strategy"].iloc[0]),
                str(runs["optimiser"].iloc[0]),
                _name(rank, label, row),
                final | {"final/rank": float(rank)},
                _series(curves, "env_steps"),
                _series(curves, "labels"),
                [str(run_id) for run_id in runs["run_id"] if run_id],
            )


def _name(rank: int, cell: str, row: Mapping[str, Any]) -> str:
    """Of a summary run, with its result: MLflow shows it beside every chart."""
    if not row["seeds"]:
        return f"{rank}. {cell}: no result"
    # The interval is as long on either side, and MLflow's list of runs is narrow.
    half = (row["ci_high"] - row["ci_low"]) / 2
    interval = f" ±{plain(half)}" if row["seeds"] > 1 else ""
    return f"{rank}. {cell} {plain(row['iqm'])}{interval}"


def _series(curves: "DataFrame", axis: str) -> list[tuple[int, dict[str, float]]]:
    prefix = AXES[axis]
    return [
        (
            int(point["x"]),
            {
                f"{prefix}/{name}": float(point[name])
                for name in CURVE
                if point[name] == point[name]
            },
        )
        for point in curves[curves["axis"] == axis].to_dict(orient="records")
    ]
