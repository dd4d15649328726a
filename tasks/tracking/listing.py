"""Runs of the tracking store as a list: filtered, newest first."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rlhf_core.errors import ConfigurationError, RunError
from rlhf_core.plugin import nearest
from rlhf_core.texts import shortened
from tasks.addresses import printable
from tasks.tracking import views
from tasks.tracking.store import Tracker
from tasks.tracking.tags import (
    CELL_TAG,
    ENVIRONMENT_TAG,
    GROUP_TAG,
    KIND_TAG,
    MEMBER,
    PROJECT,
    PROJECT_TAG,
    REASON_TAG,
    SCHEDULE_TAG,
    membership,
)

if TYPE_CHECKING:
    from mlflow.entities import Run

COMPARISON = "comparison"
TAGS = {
    "strategy": "strategy",
    "optimiser": "optimiser",
    "annotator": "annotator",
    "environment": ENVIRONMENT_TAG,
    "seed": "seed",
    "cell": CELL_TAG,
    COMPARISON: GROUP_TAG,
    "kind": KIND_TAG,
    "schedule": SCHEDULE_TAG,
}
"""Words of a filter, and the tag that holds their value. A run has one more tag for each comparison
that it is a part of (`membership`)."""
STATUS = "status"
STATES = ("running", "finished", "failed", "killed", "scheduled")
OURS = f"tags.`{PROJECT_TAG}` = '{PROJECT}'"


@dataclass(frozen=True)
class RunSummary:
    """A run as a line of a list."""

    run_id: str
    name: str
    environment: str
    cell: str
    strategy: str
    """Empty for what is no run of an experiment."""
    optimiser: str
    seed: int
    status: str
    true_return: float | None
    labels: float | None
    began_ms: int
    """Unix time."""
    ended_ms: int | None
    reason: str | None
    """Why it did not finish."""
    link: str
    """Of its page; behind the address of `rlhf ui` where the store is embedded."""


def list_runs(
    tracker: Tracker, filters: Sequence[str] = (), experiment: str | None = None, most: int = 20
) -> list[RunSummary]:
    """The newest runs that fit all filters.

    Args:
        tracker: where they are.
        filters: `word=value` texts; see `TAGS`, `status`, or the path of a field of the experiment.
        experiment: name of an MLflow experiment, such as `Pendulum-v1`; None looks in all.
        most: runs to return.

    Raises:
        ConfigurationError: a filter is none, or there is no such experiment.
    """
    client = tracker.client()
    experiments = {e.name: e.experiment_id for e in client.search_experiments()}
    if experiment is not None and experiment not in experiments:
        raise ConfigurationError(
            f"--experiment: unknown '{shortened(experiment)}'; "
            f"{nearest(experiment, list(experiments))}"
        )
    searched = [experiments[experiment]] if experiment is not None else [*experiments.values()]
    rule = " AND ".join([OURS, *map(_clause, filters)])
    runs = client.search_runs(
        searched, rule, max_results=most, order_by=["attributes.start_time DESC"]
    )
    return [_summary(tracker, run) for run in runs]


def find_run(tracker: Tracker, beginning: str) -> RunSummary:
    """The run whose id begins so.

    Raises:
        RunError: there is none, or several.
    """
    if not beginning.isalnum():
        raise RunError(f"expected the beginning of a run id, actual: '{printable(beginning)}'")
    client = tracker.client()
    experiments = [e.experiment_id for e in client.search_experiments()]
    runs = client.search_runs(experiments, f"attributes.run_id LIKE '{beginning}%'", max_results=3)
    if len(runs) != 1:
        matching = [run.info.run_id for run in runs]
        raise RunError(
            f"run '{beginning}': expected one run that begins so, actual: {matching or 'none'}"
        )
    return _summary(tracker, runs[0])


def page_of(tracker: Tracker, experiment_id: str, run_id: str) -> str:
    """The address of a run's page, or what stands behind the address of `rlhf ui`."""
    start = tracker.uri.rstrip("/") if tracker.remote else ""
    return f"{start}/#/experiments/{experiment_id}/runs/{run_id}"


def _clause(text: str) -> str:
    word, equals, value = text.partition("=")
    if not equals or not word or not views.is_quotable(value) or "`" in word:
        raise ConfigurationError(
            f"--filter: expected WORD=VALUE with a word of {', '.join([*TAGS, STATUS])} or the "
            f"path of a field, actual: '{shortened(text)}'"
        )
    if word == STATUS:
        if value.lower() not in STATES:
            raise ConfigurationError(
                f"--filter status: unknown '{shortened(value)}'; {nearest(value, list(STATES))}"
            )
        return f"attributes.status = '{value.upper()}'"
    if word not in TAGS and "." not in word:
        raise ConfigurationError(
            f"--filter: unknown word '{shortened(word)}'; {nearest(word, [*TAGS, STATUS])}, or the "
            "path of a field such as budget.labels"
        )
    if word == COMPARISON and membership(value):
        [tag] = membership(value)
        return f"tags.`{tag}` = '{MEMBER}'"
    place = f"tags.`{TAGS[word]}`" if word in TAGS else f"params.`{word}`"
    return f"{place} = {views.quoted(value)}"


def _summary(tracker: Tracker, run: "Run") -> RunSummary:
    tags, metrics = run.data.tags, run.data.metrics
    return RunSummary(
        run.info.run_id,
        run.info.run_name,
        tags.get(ENVIRONMENT_TAG, ""),
        tags.get(CELL_TAG, ""),
        tags.get("strategy", ""),
        tags.get("optimiser", ""),
        int(tags.get("seed", 0)),
        run.info.status.lower(),
        metrics.get("final/true_return_iqm", metrics.get("eval/true_return_iqm")),
        metrics.get("feedback/labels_total"),
        run.info.start_time,
        run.info.end_time,
        tags.get(REASON_TAG),
        page_of(tracker, run.info.experiment_id, run.info.run_id),
    )
