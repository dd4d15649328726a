"""The life of a comparison: one run of its own, known by its name, that may grow."""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from rlhf_core.differences import changes_between
from rlhf_core.errors import RunError
from rlhf_core.matrix import Cell, Matrix
from tasks.home import Home
from tasks.runs import lease
from tasks.runs.lifecycle import move
from tasks.runs.states import Event
from tasks.tracking import records
from tasks.tracking.store import Tracker, tracker_of
from tasks.tracking.tags import (
    COMPARISON_TAG,
    FLOW_TAG,
    KIND_TAG,
    PROJECT,
    PROJECT_TAG,
    REASON_TAG,
    SOURCE_TAG,
    USER_TAG,
)

KIND = "comparison"
OURS = {PROJECT_TAG: PROJECT, KIND_TAG: KIND}
DEFINITION = "comparison.yaml"
CELLS = "cells.json"
"""Every field of every cell: what a changed definition is told from."""
DIFFERENCES = 5
"""Differences that a message names."""


@dataclass(frozen=True)
class Comparison:
    """The record of a comparison."""

    name: str
    run_id: str
    """Of its own run in MLflow."""
    tracker: Tracker


def open_comparison(
    home: Home, matrix: Matrix, cells: Sequence[Cell], flow_run_id: str
) -> Comparison:
    """Create the record of a comparison, or take up the one of its name, and add to it.

    Raises:
        RunError: one of this name has a cell of the same name with other settings, or another
            process works on it.
    """
    with home.locked("comparison"):
        return _open(home, tracker_of(home), matrix, cells, flow_run_id)


def _open(
    home: Home, tracker: Tracker, matrix: Matrix, cells: Sequence[Cell], flow_run_id: str
) -> Comparison:
    ours = {cell.label: _settings(cell) for cell in cells}
    record = find(tracker, matrix.name)
    lease.take(home, flow_run_id, record.run_id if record else None)
    if record is None:
        run_id = _create(tracker, matrix, cells, flow_run_id)
        lease.assign(flow_run_id, run_id)
    else:
        run_id = record.run_id
        theirs = recorded_cells(tracker, run_id)
        _check_unchanged(matrix.name, ours, theirs)
        ours = {**theirs, **ours}
        move(tracker, run_id, Event.EXTEND)
        records.set_tags(tracker, run_id, {FLOW_TAG: flow_run_id, REASON_TAG: None})
    content = json.dumps(ours, indent=1)
    records.set_files(tracker, run_id, {DEFINITION: definition(matrix), CELLS: content})
    return Comparison(matrix.name, run_id, tracker)


def add_cells(comparison: Comparison, cells: Sequence[Cell]) -> None:
    """Write down more cells of a comparison that goes on."""
    recorded = recorded_cells(comparison.tracker, comparison.run_id)
    content = json.dumps({**recorded, **{cell.label: _settings(cell) for cell in cells}}, indent=1)
    records.set_files(comparison.tracker, comparison.run_id, {CELLS: content})


def check_unchanged(tracker: Tracker, matrix: Matrix, cells: Sequence[Cell]) -> None:
    """Raise `RunError` where a comparison of this name has other settings for one of the cells."""
    record = find(tracker, matrix.name)
    if record is not None:
        ours = {cell.label: _settings(cell) for cell in cells}
        _check_unchanged(matrix.name, ours, recorded_cells(tracker, record.run_id))


def find(tracker: Tracker, name: str) -> records.Record | None:
    """The record of a comparison by its name."""
    found = records.find_all(tracker, {**OURS, COMPARISON_TAG: name})
    return found[0] if found else None


def names(tracker: Tracker) -> list[str]:
    """Names of all comparisons."""
    return sorted({record.tags[COMPARISON_TAG] for record in records.find_all(tracker, OURS)})


def recorded_cells(tracker: Tracker, run_id: str) -> dict[str, Any]:
    """Every cell that a comparison has, by its label, with every field."""
    text = records.text(tracker, run_id, CELLS)
    cells: dict[str, Any] = {} if text is None else json.loads(text)
    return cells


def definition(matrix: Matrix) -> str:
    """The matrix as YAML, without what it leaves to the defaults."""
    fields = matrix.model_dump(mode="json", exclude_defaults=True)
    return yaml.safe_dump(fields, sort_keys=False)


def _create(tracker: Tracker, matrix: Matrix, cells: Sequence[Cell], flow_run_id: str) -> str:
    tags = {
        **OURS,
        FLOW_TAG: flow_run_id,
        COMPARISON_TAG: matrix.name,
        USER_TAG: os.environ.get("USER", "rlhf-flows"),
        SOURCE_TAG: "rlhf compare",
    }
    # With the runs of its first task.
    environment = cells[0].experiment.environment.id
    return records.create(tracker, environment, f"comparison {matrix.name}", tags, {})


def _settings(cell: Cell) -> dict[str, Any]:
    return cell.experiment.model_dump(mode="json", exclude={"seed"})


def _check_unchanged(name: str, ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> None:
    differences = [
        f"{label}: {difference}"
        for label in ours
        if label in theirs
        for difference in changes_between(theirs[label], ours[label])
    ]
    if differences:
        more = len(differences) - DIFFERENCES
        shown = "; ".join(differences[:DIFFERENCES]) + (f"; and {more} more" if more > 0 else "")
        raise RunError(
            f"comparison '{name}' was defined otherwise, and its runs would not be comparable: "
            f"{shown}; give this one another name"
        )
