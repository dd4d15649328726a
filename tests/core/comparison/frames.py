"""Data frames of runs whose comparison is known."""

from typing import Any

import pandas as pd


def runs_of(cells: dict[str, list[float]], task: str = "pendulum", **columns: Any) -> pd.DataFrame:
    """One row a seed; NaN is a failed run."""
    rows = [
        {"task": task, "cell": cell, "seed": seed, "true_return": value, **columns}
        for cell, values in cells.items()
        for seed, value in enumerate(values)
    ]
    return pd.DataFrame(rows)


def curves_of(
    curves: dict[str, list[list[float]]], steps: int = 100, labels: int = 10, task: str = "pendulum"
) -> pd.DataFrame:
    """One row a round: curves by cell, then by seed."""
    rows = [
        {
            "task": task,
            "cell": cell,
            "seed": seed,
            "env_steps": steps * (index + 1),
            "labels": labels * (index + 1),
            "cost": float(labels * (index + 1)),
            "true_return": value,
        }
        for cell, seeds in curves.items()
        for seed, rounds in enumerate(seeds)
        for index, value in enumerate(rounds)
    ]
    return pd.DataFrame(rows)
