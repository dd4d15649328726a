"""Summary runs of a comparison: one MLflow run a cell, and one for the comparison itself.

MLflow groups runs by their mean alone and knows no interval. A summary run has a cell's
interquartile mean and interval as metrics of its own, so that MLflow's table has one line a cell
and its charts draw what the statistics say.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from rlhf_core.comparison.colours import colour_of
from rlhf_core.types import Metrics
from tasks.tracking import experiments, notes, views
from tasks.tracking.logging import log_files
from tasks.tracking.store import Tracker
from tasks.tracking.views import COMPARISON_TAG

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

KIND_TAG, CELL_TAG = "rlhf.kind", "rlhf.cell"
CONTENT_TAG = "rlhf.summary"
"""Digest of what a summary run was written from."""
DRAFT = "draft"
"""Kind of a summary run that is not written to its end."""
REPORT = "report.html"
BATCH = 1000
"""Metrics that MLflow takes in one request."""


@dataclass(frozen=True)
class SummaryRow:
    """What is known of one cell of a comparison."""

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
class Written:
    """Where the summary of a comparison is."""

    experiment_id: str
    run_id: str
    """Of the comparison itself."""
    view: str
    """What follows the server's address to open its view."""


def write(
    tracker: Tracker,
    experiment: str,
    comparison: str,
    rows: Sequence[SummaryRow],
    answer: str,
    report: bytes | None,
) -> Written:
    """Write the summary runs of a comparison, its view and its report; again after it has grown.

    A run whose content has changed is written anew and the old one deleted: MLflow cannot take
    points out of a metric, so one that is updated would keep those of before. What has not changed
    is left alone, and a process that is killed here leaves nothing twice.

    Args:
        tracker: where.
        experiment: id of the environment, which names MLflow's experiment.
        comparison: its name.
        rows: one a cell, the best first.
        answer: the result, in a sentence.
        report: the comparison's page, in HTML.
    """
    client = tracker.client()
    experiment_id = experiments.ready(tracker, experiment)
    known = _known(client, experiment_id, comparison)
    for cell in known.keys() - {row.cell for row in rows} - {""}:
        for run in known[cell]:
            client.delete_run(run.info.run_id)
    for row in rows:
        _write_cell(client, experiment_id, comparison, row, known.get(row.cell, []))
    view = views.link(experiment_id, views.comparison(tracker, experiment_id, comparison))
    run_id = _write_comparison(
        client, experiment_id, comparison, rows, answer, view, known.get("", [])
    )
    if report is not None:
        log_files(tracker, run_id, {REPORT: report})
    page = notes.run_link(experiment_id, run_id, comparison)
    curves = f"[curves and table]({view.removeprefix('/')})"
    links = f"Comparison {page}: {curves}."
    experiments.tell_result(tracker, experiment_id, answer, links)
    for run_id_of_seed in {run_id: None for row in rows for run_id in row.run_ids}:
        tags = client.get_run(run_id_of_seed).data.tags
        notes.edit(tracker, run_id_of_seed, {"Comparison": f"{page}, with its report."}, tags)
    return Written(experiment_id, run_id, view)


def _known(
    client: "MlflowClient", experiment_id: str, comparison: str
) -> Mapping[str, list["Run"]]:
    """Summary runs of a comparison by their cell, drafts too; that of itself by an empty text."""
    found: dict[str, list[Run]] = {}
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
            if tags.get(KIND_TAG) in ("cell", "comparison", DRAFT):
                cell = tags.get(CELL_TAG, "")
                found.setdefault(cell, []).append(run)
        token = page.token
        if not token:
            return found


def _write_cell(
    client: "MlflowClient",
    experiment_id: str,
    comparison: str,
    row: SummaryRow,
    known: Sequence["Run"],
) -> None:
    from mlflow.entities import Metric

    seeds = ", ".join(
        notes.run_link(experiment_id, run_id, f"run {index}")
        for index, run_id in enumerate(row.run_ids, 1)
    )
    note = f"Summary of the runs of `{row.cell}` in comparison `{comparison}`: {seeds}."
    tags = {
        CELL_TAG: row.cell,
        "strategy": row.strategy,
        "optimiser": row.optimiser,
        "mlflow.runColor": colour_of(row.strategy),
        notes.NOTE_TAG: note,
    }
    points = [(0, row.final), *row.by_steps, *row.by_labels]
    metrics = [
        Metric(name, value, 0, step) for step, values in points for name, value in values.items()
    ]
    content = hashlib.sha256(json.dumps(asdict(row), sort_keys=True).encode()).hexdigest()
    unchanged = [run for run in known if _is(run, content)]
    if not unchanged:
        run_id = _create(client, experiment_id, comparison, row.name, tags | {CONTENT_TAG: content})
        for begin in range(0, len(metrics), BATCH):
            client.log_batch(run_id, metrics=metrics[begin : begin + BATCH])
    for run in known:
        if run not in unchanged[:1]:
            client.delete_run(run.info.run_id)
    if not unchanged:
        client.set_tag(run_id, KIND_TAG, "cell")


def _is(run: "Run", content: str) -> bool:
    """Whether a run is a whole one with this content."""
    tags = run.data.tags
    return tags[KIND_TAG] != DRAFT and tags.get(CONTENT_TAG) == content


def _create(
    client: "MlflowClient", experiment_id: str, comparison: str, name: str, tags: Mapping[str, str]
) -> str:
    """A draft of a summary run, which nothing shows."""
    own = {KIND_TAG: DRAFT, COMPARISON_TAG: comparison, "mlflow.source.name": "rlhf compare"}
    created = client.create_run(experiment_id, run_name=name, tags={**own, **tags})
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
    known: Sequence["Run"],
) -> str:
    """Write the run of the comparison itself, whose page keeps its address."""
    lines = [
        answer,
        "",
        "| cell | result |",
        "|---|---|",
        *(f"| `{row.cell}` | {row.name} |" for row in rows),
        "",
        f"[Curves and table]({view.removeprefix('/')}); the report is the artifact `{REPORT}`.",
    ]
    if known:
        run_id: str = known[0].info.run_id
    else:
        run_id = _create(client, experiment_id, comparison, f"comparison {comparison}", {})
    client.set_tag(run_id, notes.NOTE_TAG, "\n".join(lines))
    client.set_tag(run_id, KIND_TAG, "comparison")
    return run_id
