"""Summary runs of a comparison: one MLflow run a cell, and one for the comparison itself.

MLflow groups runs by their mean alone and has no intervals. A summary run has a cell's
interquartile mean and interval as metrics of its own, so that MLflow's table has one line a cell
and its charts draw what the statistics say.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

from rlhf_core.comparison.colours import colour_of
from rlhf_core.types import Metrics
from tasks.tracking import experiments, notes, records, views
from tasks.tracking.logging import log_files
from tasks.tracking.store import Tracker
from tasks.tracking.tags import (
    CELL_TAG,
    COLOUR_TAG,
    COMPARISON_TAG,
    ENVIRONMENT_TAG,
    KIND_TAG,
    NOTE_TAG,
    SOURCE_TAG,
    SUMMARY_TAG,
    membership,
)

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

DRAFT = "draft"
"""Kind of a summary run that is incomplete."""
REPORT = "report.html"
BATCH = 1000
"""Metrics that MLflow takes in one request."""


@dataclass(frozen=True)
class SummaryRow:
    """The results of one cell of a comparison."""

    cell: str
    strategy: str
    optimiser: str
    name: str
    """Of the run, with the result, such as `1. -152 (-170 to -139) preference-ppo`."""
    final: Metrics
    """Numbers at the end, such as `final/iqm`, `final/ci_low`, `final/ci_high`, `final/rank`,
    `final/probability_of_improvement`, `final/failure_rate` and `final/seeds`."""
    by_steps: Sequence[tuple[int, Metrics]]
    """`eval/iqm`, `eval/ci_low`, `eval/ci_high` and `eval/seeds` by environment steps."""
    by_labels: Sequence[tuple[int, Metrics]]
    """`labels/iqm` and so on by labels."""
    run_ids: Sequence[str]
    """Of its seeds."""


@dataclass(frozen=True)
class SummaryLocation:
    """Where the summary of a comparison is."""

    experiment_id: str
    run_id: str
    """Of the comparison itself."""
    view: str
    """What follows the server's address to open its view."""


@dataclass
class _Records:
    """Summary runs of a comparison that MLflow has, drafts included."""

    cells: dict[str, list["Run"]] = field(default_factory=dict)
    """Of one environment, by their cell."""
    others: list["Run"] = field(default_factory=list)
    """Of cells of other environments, where one experiment holds the runs of several."""
    own: list["Run"] = field(default_factory=list)
    """Of the comparison itself."""


def write(
    tracker: Tracker,
    environment: str,
    comparison: str,
    rows: Sequence[SummaryRow],
    answer: str,
    report: bytes | None,
) -> SummaryLocation:
    """Write the summary runs of a comparison, its view and its report; again after it has grown.

    A run whose content has changed is written anew and the old one deleted: MLflow cannot take
    points out of a metric, so one that is updated would keep those of before. What has not changed
    is left alone, as are summaries of other environments, and a process that is killed here leaves
    nothing twice. Every run of the rows is tagged as a member of the comparison (`membership`),
    also one that was played for another.

    Args:
        tracker: where.
        environment: id of the environment, which names MLflow's experiment.
        comparison: its name.
        rows: one a cell, the best first.
        answer: the result, in a sentence.
        report: the comparison's page, in HTML.
    """
    client = tracker.client()
    experiment_id = experiments.ready(tracker, environment)
    before = _records(client, experiment_id, comparison, environment)
    for cell in before.cells.keys() - {row.cell for row in rows}:
        for run in before.cells[cell]:
            client.delete_run(run.info.run_id)
    own = {COMPARISON_TAG: comparison, ENVIRONMENT_TAG: environment}
    for row in rows:
        _write_cell(client, experiment_id, own, row, before.cells.get(row.cell, []))
    view = views.link(experiment_id, views.comparison(tracker, experiment_id, comparison))
    run_id = _write_comparison(client, experiment_id, comparison, rows, answer, view, before)
    if report is not None:
        log_files(tracker, run_id, {REPORT: report})
    page = notes.run_link(experiment_id, run_id, comparison)
    curves = f"[curves and table]({view.removeprefix('/')})"
    links = f"Comparison {page}: {curves}."
    experiments.write_result(tracker, experiment_id, answer, links)
    for member in {run_id: None for row in rows for run_id in row.run_ids}:
        _mark_member(tracker, member, comparison, page)
    return SummaryLocation(experiment_id, run_id, view)


def _mark_member(tracker: Tracker, run_id: str, comparison: str, page: str) -> None:
    """Let a run name a comparison that it is a part of, in its description and as a tag."""
    tags = tracker.client().get_run(run_id).data.tags
    notes.edit(tracker, run_id, {"Comparison": f"{page}, with its report."}, tags)
    missing = membership(comparison).items() - tags.items()
    if missing:
        records.set_tags(tracker, run_id, dict(missing))


def _records(
    client: "MlflowClient", experiment_id: str, comparison: str, environment: str
) -> _Records:
    """The summary runs of a comparison that an experiment has."""
    summaries = _Records()
    token: str | None = None
    while True:
        page = client.search_runs(
            [experiment_id],
            f"tags.`{COMPARISON_TAG}` = {views.quoted(comparison)}",
            max_results=1000,
            page_token=token,
        )
        for run in page:
            tags = run.data.tags
            if tags.get(KIND_TAG) not in ("cell", "comparison", DRAFT):
                continue
            if CELL_TAG not in tags:
                summaries.own.append(run)
            elif tags.get(ENVIRONMENT_TAG) == environment:
                summaries.cells.setdefault(tags[CELL_TAG], []).append(run)
            else:
                summaries.others.append(run)
        token = page.token
        if not token:
            return summaries


def _write_cell(
    client: "MlflowClient",
    experiment_id: str,
    own: Mapping[str, str],
    row: SummaryRow,
    before: Sequence["Run"],
) -> None:
    from mlflow.entities import Metric

    seeds = ", ".join(
        notes.run_link(experiment_id, run_id, f"run {index}")
        for index, run_id in enumerate(row.run_ids, 1)
    )
    note = f"Summary of the runs of `{row.cell}` in comparison `{own[COMPARISON_TAG]}`: {seeds}."
    tags = {
        **own,
        CELL_TAG: row.cell,
        "strategy": row.strategy,
        "optimiser": row.optimiser,
        COLOUR_TAG: colour_of(row.strategy),
        NOTE_TAG: note,
    }
    points = [(0, row.final), *row.by_steps, *row.by_labels]
    metrics = [
        Metric(name, value, 0, step) for step, values in points for name, value in values.items()
    ]
    content = hashlib.sha256(json.dumps(asdict(row), sort_keys=True).encode()).hexdigest()
    unchanged = [run for run in before if _is(run, content)]
    if not unchanged:
        run_id = _create(client, experiment_id, row.name, tags | {SUMMARY_TAG: content})
        for begin in range(0, len(metrics), BATCH):
            client.log_batch(run_id, metrics=metrics[begin : begin + BATCH])
    for run in before:
        if run not in unchanged[:1]:
            client.delete_run(run.info.run_id)
    if not unchanged:
        client.set_tag(run_id, KIND_TAG, "cell")


def _is(run: "Run", content: str) -> bool:
    """Whether a run is a whole one with this content."""
    tags = run.data.tags
    return tags[KIND_TAG] != DRAFT and tags.get(SUMMARY_TAG) == content


def _create(client: "MlflowClient", experiment_id: str, name: str, tags: Mapping[str, str]) -> str:
    """Create a draft of a summary run, which no view shows."""
    draft = {KIND_TAG: DRAFT, SOURCE_TAG: "rlhf compare"}
    created = client.create_run(experiment_id, run_name=name, tags={**draft, **tags})
    run_id: str = created.info.run_id
    client.set_terminated(run_id, "FINISHED")
    return run_id


def _write_comparison(
    client: "MlflowClient",
    experiment_id: str,
    comparison: str,
    rows: Sequence[SummaryRow],
    answer: str,
    view: str,
    before: _Records,
) -> str:
    """Write the run of the comparison itself, whose page keeps its address."""
    others = [run for run in before.others if run.data.tags[KIND_TAG] != DRAFT]
    others.sort(key=lambda run: (run.data.tags.get(ENVIRONMENT_TAG, ""), run.info.start_time))
    lines = [
        answer,
        "",
        "| cell | result |",
        "|---|---|",
        *(f"| `{row.cell}` | {row.name} |" for row in rows),
        *(f"| `{run.data.tags[CELL_TAG]}` | {run.info.run_name} |" for run in others),
        "",
        f"[Curves and table]({view.removeprefix('/')}); the report is the artifact `{REPORT}`.",
    ]
    if before.own:
        run_id: str = before.own[0].info.run_id
    else:
        tags = {COMPARISON_TAG: comparison}
        run_id = _create(client, experiment_id, f"comparison {comparison}", tags)
    client.set_tag(run_id, NOTE_TAG, "\n".join(lines))
    client.set_tag(run_id, KIND_TAG, "comparison")
    return run_id
