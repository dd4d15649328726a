"""Agreement of workers beyond chance."""

import numpy as np
from jaxtyping import Int

from rlhf_core.crowd.votes import CLASSES
from rlhf_core.judgements import EXPERT, Choice


def krippendorff_alpha(
    query: Int[np.ndarray, " R"], worker: Int[np.ndarray, " R"], choice: Int[np.ndarray, " R"]
) -> float:
    """Krippendorff's alpha for nominal answers; workers may have answered different queries.

        alpha = 1 - D_o / D_e,  D_o = sum over queries of disagreeing pairs / (answers - 1)

    D_e is the expected D_o if the same answers were assigned to the queries at random. 1 is full
    agreement, 0 is chance, below 0 is systematic disagreement. Skips, the expert's answers and
    queries with a single answer are left out.

    Paper: https://repository.upenn.edu/handle/20.500.14332/2089

    Args:
        query: what was asked, >= 0.
        worker: who answered.
        choice: a `Choice`.

    Returns:
        alpha; NaN where it is not defined: no query has two answers, or all answers are equal.
    """
    counted = (choice != Choice.SKIP) & (worker != EXPERT)
    _, unit = np.unique(query[counted], return_inverse=True)
    units = int(unit.max()) + 1 if len(unit) else 0
    cells = np.bincount(CLASSES * unit + choice[counted], minlength=CLASSES * units)
    table = cells.reshape(units, CLASSES).astype(np.float64)
    table = table[table.sum(axis=1) >= 2]
    answers = table.sum(axis=1)
    observed = ((answers**2 - (table**2).sum(axis=1)) / (answers - 1)).sum()
    total = answers.sum()
    expected = total**2 - (table.sum(axis=0) ** 2).sum()
    return float(1 - (total - 1) * observed / expected) if expected > 0 else float("nan")
