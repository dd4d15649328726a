"""Finished runs as data frames: what comparisons and reports are made of."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml

from tasks.tracking import records
from tasks.tracking.listing import page_of
from tasks.tracking.store import Tracker
from tasks.tracking.tags import ENVIRONMENT_TAG, GUARD_TAG

if TYPE_CHECKING:
    import pandas as pd
    from mlflow.entities import Run

FINAL = {
    "true_return": "eval/true_return_iqm",
    "first_return": "eval/first_return_iqm",
    "labels": "feedback/labels_total",
    "cost": "feedback/cost_total",
    "env_steps": "policy/steps",
    "seconds": "final/seconds",
    "heldout_accuracy": "reward/heldout_accuracy",
    "proxy_correlation": "proxy/true_correlation",
    "proxy_return": "proxy/return_mean",
}
"""Columns of the frame of runs, and the metric whose last value they hold."""
CURVES = {
    name: FINAL[name]
    for name in (
        "true_return", "labels", "cost", "heldout_accuracy", "proxy_correlation", "proxy_return",
    )
}  # fmt: skip
"""Columns of the frame of curves, and the metric whose history they hold."""


@dataclass(frozen=True)
class Member:
    """A run of a comparison."""

    task: str
    cell: str
    seed: int
    strategy: str
    optimiser: str
    environment: str
    """Its id."""
    run_id: str | None
    """None where there is none."""
    reason: str | None = None
    """Why it failed."""
    code: str = ""
    """Digest of the code that played it."""

    @property
    def label(self) -> str:
        """Of its cell, unlike that of every other cell of the comparison."""
        return f"{self.task}/{self.cell}"


def configuration(tracker: Tracker, run_id: str) -> dict[str, Any] | None:
    """Every field of the experiment of a run; None where it has not recorded it."""
    text = records.text(tracker, run_id, "experiment.yaml")
    fields: dict[str, Any] | None = None if text is None else yaml.safe_load(text)
    return fields


@dataclass(frozen=True)
class Speed:
    """How long a finished run took."""

    kinds: tuple[str, str, str]
    """Environment, strategy and optimiser."""
    seconds: float
    steps: float
    """Environment steps."""


def speeds(tracker: Tracker, most: int = 500) -> list[Speed]:
    """How long the newest finished runs took."""
    client = tracker.client()
    experiments = [e.experiment_id for e in client.search_experiments()]
    rule = "attributes.status = 'FINISHED' AND metrics.`final/seconds` > 0"
    runs = client.search_runs(
        experiments, rule, max_results=most, order_by=["attributes.start_time DESC"]
    )
    return [
        Speed(
            (tags[ENVIRONMENT_TAG], tags["strategy"], tags["optimiser"]),
            metrics["final/seconds"],
            metrics["final/env_steps"],
        )
        for tags, metrics in ((run.data.tags, run.data.metrics) for run in runs)
        if {ENVIRONMENT_TAG, "strategy", "optimiser"} <= {*tags} and "final/env_steps" in metrics
    ]


def frames(tracker: Tracker, members: Sequence[Member]) -> "tuple[pd.DataFrame, pd.DataFrame]":
    """The final numbers of runs, one row a run, and their curves, one row a run and round.

    Args:
        tracker: where the runs are.
        members: the runs; one with a reason has no numbers.
    """
    import pandas as pd

    client = tracker.client()
    rows, points = list[dict[str, Any]](), list[dict[str, Any]]()
    for member in members:
        row: dict[str, Any] = {
            "task": member.task,
            "cell": member.cell,
            "seed": member.seed,
            "strategy": member.strategy,
            "optimiser": member.optimiser,
            "run_id": member.run_id,
            "status": "finished" if member.reason is None else "failed",
            "reason": member.reason,
        }
        if member.reason is None and member.run_id is not None:
            run = client.get_run(member.run_id)
            row |= _final(run)
            # An embedded server has another address each time.
            if tracker.remote:
                row["link"] = page_of(tracker, run.info.experiment_id, member.run_id)
            points += _curve(tracker, run, member)
        rows.append(row)
    columns = ["task", "cell", "seed", "env_steps", *CURVES]
    whole = dict.fromkeys([*rows[0], *FINAL, "alarms", "link"])
    runs = pd.DataFrame(rows).reindex(columns=list(whole))
    return runs, pd.DataFrame(points, columns=columns)


def _final(run: "Run") -> dict[str, Any]:
    metrics = run.data.metrics
    final = {name: metrics.get(metric) for name, metric in FINAL.items()}
    alarms = sum(name.startswith(f"{GUARD_TAG}.") for name in run.data.tags)
    return {**final, "alarms": alarms}


def _curve(tracker: Tracker, run: "Run", member: Member) -> list[dict[str, Any]]:
    """One point a round, at the environment steps of its end."""
    client = tracker.client()
    points: dict[int, dict[str, Any]] = {}
    for name, metric in CURVES.items():
        if metric in run.data.metrics:
            for entry in client.get_metric_history(run.info.run_id, metric):
                points.setdefault(entry.step, {})[name] = entry.value
    return [
        {"task": member.task, "cell": member.cell, "seed": member.seed, "env_steps": step, **point}
        for step, point in sorted(points.items())
    ]
