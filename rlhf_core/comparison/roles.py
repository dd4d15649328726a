"""Roles of a task's cells: references, null controls, controls and competitors."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from rlhf_core.evaluation.statistics import interquartile_mean

if TYPE_CHECKING:
    from pandas import DataFrame

REFERENCE_STRATEGY = "true_reward"
NULL_CONTROLS = ("constant", "random_network", "shuffled_labels", "sign_flipped")
"""Strategies whose reward is no estimate of the true reward."""


def reference_cells(runs: "DataFrame", reference: str | None) -> list[str]:
    """Cells trained on the true reward: the one that is named, or all of that strategy."""
    is_reference = (
        runs["strategy"] == REFERENCE_STRATEGY if reference is None else runs["cell"] == reference
    )
    return list(dict.fromkeys(runs["cell"][is_reference]))


def reference_of(cell: str, runs: "DataFrame", references: Sequence[str]) -> str:
    """Reference that a cell is measured against: of the same optimiser, or else the best one.

    Args:
        cell: name.
        runs: all runs of one task, finished or not; only `cell` and `optimiser` are used.
        references: of that task, best first.

    Returns:
        The name, empty where there is none.
    """
    optimisers = dict(zip(runs["cell"], runs["optimiser"], strict=True))
    same = [name for name in references if optimisers.get(name) == optimisers.get(cell)]
    return next(iter([*same, *references]), "")


def random_level(runs: "DataFrame") -> float:
    """Interquartile mean of the return of the untrained policies of one task; NaN where unknown."""
    returns = runs["first_return"].dropna().to_numpy(np.float64)
    return interquartile_mean(returns) if len(returns) else float("nan")


def controls_of(
    cells: Sequence[str],
    ranking: Sequence[str],
    references: Sequence[str],
    control: str | None,
) -> dict[str, str | None]:
    """Cell that each cell is compared with; None where there is none.

    Without a named control it is the best other cell that is not a reference, where two compete.

    Args:
        cells: all of a task.
        ranking: those with a finished run, best first.
        references: cells trained on the true reward.
        control: named cell; without a finished run of it, no cell has a control.
    """
    competitors = [cell for cell in ranking if cell not in references]
    candidates = competitors if len(competitors) > 1 else list(ranking)
    if control is not None:
        candidates = [control] if control in ranking else []
    controls: dict[str, str | None] = {}
    for cell in cells:
        others = [other for other in candidates if other != cell] if cell in ranking else []
        controls[cell] = others[0] if others else None
    return controls
