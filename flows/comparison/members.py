"""The runs that a report is about: those of a comparison, or those that fit a filter."""

import json
from collections.abc import Container, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rlhf_core.configuration import validated
from rlhf_core.errors import RunError
from rlhf_core.matrix import Cell, Matrix
from rlhf_core.plugin import nearest
from rlhf_core.texts import shortened
from rlhf_core.yaml_text import parse
from tasks.runs import comparisons
from tasks.runs.content import code_version
from tasks.tracking import listing, records
from tasks.tracking.results import Member
from tasks.tracking.store import Tracker

MEMBERS = "members.json"
"""The runs of a comparison, as an artifact of its own run."""
Key = tuple[str, int]
"""Label of a cell, and seed."""


def of_cells(
    cells: Sequence[Cell],
    seeds: Sequence[int],
    finished: Mapping[Key, Mapping[str, Any]],
    failed: Mapping[Key, tuple[str, str | None]],
) -> list[Member]:
    """The runs of a comparison that was just played.

    Args:
        cells: of the comparison.
        seeds: of each cell.
        finished: summaries by cell and seed.
        failed: reasons by cell and seed, with the id of the run where there is one.
    """
    members = list[Member]()
    for cell in cells:
        experiment = cell.experiment
        kinds = experiment.feedback.kind, experiment.optimiser.kind
        environment = experiment.environment.id
        for seed in seeds:
            key = cell.label, seed
            reason, run_id = failed.get(key, (None, None))
            if key in finished:
                run_id = finished[key]["run_id"]
            members.append(
                Member(
                    cell.task, cell.name, seed, *kinds, environment, run_id, reason, code_version()
                )
            )
    return members


def with_earlier(
    tracker: Tracker, run_id: str, members: Sequence[Member], labels: Container[str]
) -> list[Member]:
    """The members of a comparison, those that an earlier call played too.

    Args:
        tracker: where they are.
        run_id: of the comparison itself.
        members: those of this call, which go before.
        labels: of the cells that the comparison has.
    """
    earlier = _recorded(tracker, run_id) or []
    merged = {(member.task, member.cell, member.seed): member for member in members}
    for member in earlier:
        # Numbers of other code are not compared with these.
        if member.code == code_version() and member.label in labels:
            merged.setdefault((member.task, member.cell, member.seed), member)
    return list(merged.values())


def store(tracker: Tracker, run_id: str, members: Sequence[Member]) -> None:
    """Write down which runs a comparison consists of."""
    text = json.dumps([asdict(member) for member in members], indent=1)
    records.set_files(tracker, run_id, {MEMBERS: text})


def _recorded(tracker: Tracker, run_id: str) -> list[Member] | None:
    """The members that a comparison has written down; None before its first end."""
    text = records.text(tracker, run_id, MEMBERS)
    return None if text is None else [Member(**fields) for fields in json.loads(text)]


@dataclass(frozen=True)
class RecordedComparison:
    """A comparison that has been played."""

    run_id: str
    """Of its own run."""
    members: list[Member]
    matrix: Matrix
    definition: str
    """The matrix in YAML."""


def of_comparison(tracker: Tracker, name: str) -> RecordedComparison:
    """A comparison by its name.

    Raises:
        RunError: there is no comparison of this name, or none of its runs has ended.
    """
    record = comparisons.find(tracker, name)
    if record is None:
        names = comparisons.names(tracker)
        hint = nearest(name, names) if names else "there is none yet"
        raise RunError(f"unknown comparison '{shortened(name)}'; {hint}")
    members = _recorded(tracker, record.run_id)
    definition = records.text(tracker, record.run_id, comparisons.DEFINITION)
    if members is None or definition is None:
        raise RunError(
            f"comparison '{name}' has not come to its end; the same rlhf compare again goes on"
        )
    matrix = validated(Matrix, parse(definition, name), f"comparison '{name}'")
    return RecordedComparison(record.run_id, members, matrix, definition)


def of_runs(
    tracker: Tracker, run_ids: Sequence[str], filters: Sequence[str], experiment: str | None
) -> list[Member]:
    """Runs that were played one by one, by their ids or by a filter; the newest of a seed counts.

    Raises:
        RunError: no such run, or none that is finished.
        ConfigurationError: a filter is none, or there is no such experiment.
    """
    if run_ids:
        summaries = [listing.find_run(tracker, run_id) for run_id in run_ids]
    else:
        summaries = listing.list_runs(tracker, [*filters, "kind=run"], experiment, most=10_000)
    members: dict[tuple[str, str, int], Member] = {}
    for run in summaries:
        if run.status == "finished" and run.strategy and run.true_return is not None:
            cell = run.cell or f"{run.strategy}-{run.optimiser}"
            member = Member(
                run.environment, cell, run.seed, run.strategy, run.optimiser, run.environment,
                run.run_id,
            )  # fmt: skip
            members.setdefault((member.task, member.cell, member.seed), member)
    if not members:
        what = "none that fits" if not run_ids else "none of these"
        raise RunError(f"expected finished runs to report on, actual: {what}; see rlhf runs")
    return list(members.values())
