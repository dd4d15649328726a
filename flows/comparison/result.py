"""What came of a comparison: statistics, report and records."""

from collections.abc import Mapping, Sequence
from typing import Any

from rlhf_core.matrix import Cell, Matrix
from tasks.home import Home
from tasks.runs.comparisons import Comparison
from tasks.tracking.results import Member, frames

Key = tuple[str, int]
"""Label of a cell, and seed."""


def conclude(
    home: Home,
    comparison: Comparison,
    matrix: Matrix,
    cells: Sequence[Cell],
    finished: Mapping[Key, Mapping[str, Any]],
    failed: Mapping[Key, str],
) -> dict[str, Any]:
    """Compare what was played, write the report and the records; returns the result."""
    members = [
        Member(
            cell.task,
            cell.name,
            seed,
            cell.experiment.feedback.kind,
            cell.experiment.optimiser.kind,
            finished.get((cell.label, seed), {}).get("run_id"),
            failed.get((cell.label, seed)),
        )
        for cell in cells
        for seed in matrix.all_seeds
    ]
    runs, curves = frames(comparison.tracker, members)
    return {
        "name": comparison.name,
        "run_id": comparison.run_id,
        "failed": [{"cell": c, "seed": s, "reason": r} for (c, s), r in failed.items()],
        "runs": runs.to_dict(orient="records"),
    }
