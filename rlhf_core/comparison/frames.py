"""The two data frames that a comparison starts from, checked."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from rlhf_core.comparison.colours import COLOURS
from rlhf_core.errors import ConfigurationError

if TYPE_CHECKING:
    from pandas import DataFrame

REQUIRED = {
    "runs": ("task", "cell", "seed", "true_return"),
    "curves": ("task", "cell", "seed", "env_steps", "labels", "cost", "true_return"),
}
"""Columns that must be there, by the frame's name."""

NUMBERS = {
    "runs": (
        "true_return",
        "labels",
        "cost",
        "env_steps",
        "seconds",
        "alarms",
        "heldout_accuracy",
        "proxy_correlation",
        "proxy_return",
        "first_return",
    ),
    "curves": (
        "env_steps",
        "labels",
        "cost",
        "true_return",
        "proxy_return",
        "heldout_accuracy",
        "proxy_correlation",
    ),
}
"""Columns of numbers; an optional one that is missing is filled with NaN."""

TEXTS = ("run_id", "status", "reason", "link", "strategy", "optimiser")
"""Columns of text in `runs`; an optional one that is missing is filled with empty text."""

STATUSES = ("finished", "failed")


def checked_runs(runs: "DataFrame") -> "DataFrame":
    """Check one row for each run, and fill in the optional columns.

    A run whose return is NaN has failed. Strategy and optimiser are read off the cell's name where
    the columns are missing: `preference-ppo` is `preference` and `ppo`.

    Raises:
        ConfigurationError: a column is missing, or a row holds what it must not; column and row are
            named.
    """
    frame = _checked(runs, "runs")
    if not len(frame):
        raise ConfigurationError("runs: expected at least one row, got none")
    _refuse_duplicates(frame, "runs", ["task", "cell", "seed"])
    for name in TEXTS:
        frame[name] = _texts(frame, name)
    for row, status, value in zip(frame.index, frame["status"], frame["true_return"], strict=True):
        if status and status not in STATUSES:
            raise ConfigurationError(
                f"runs.status, row {row}: expected one of {', '.join(STATUSES)}, got {status!r}"
            )
        if status == "finished" and np.isnan(value):
            raise ConfigurationError(
                f"runs.true_return, row {row}: expected a number for a finished run, got nan"
            )
    failed = (frame["status"] == "failed") | frame["true_return"].isna()
    frame["status"] = np.where(failed, "failed", "finished")
    frame["reason"] = np.where(failed & (frame["reason"] == ""), "no return", frame["reason"])
    names = [cell_parts(cell) for cell in frame["cell"]]
    for position, column in enumerate(("strategy", "optimiser")):
        derived = [parts[position] for parts in names]
        frame[column] = np.where(frame[column] == "", derived, frame[column])
    for column in ("strategy", "optimiser"):
        several = frame.groupby(["task", "cell"])[column].nunique()
        for (task, cell), count in several.items():
            if count > 1:
                raise ConfigurationError(
                    f"runs.{column}: expected one for cell {cell!r} of task {task!r}, got {count}"
                )
    return frame.reset_index(drop=True)


def checked_curves(curves: "DataFrame | None", runs: "DataFrame") -> "DataFrame":
    """Check one row for each run and round, and leave out those of failed runs.

    Raises:
        ConfigurationError: as for `checked_runs`, or a curve of a run that is not in `runs`.
    """
    import pandas as pd

    if curves is None:
        return pd.DataFrame(columns=["task", "cell", "seed", *NUMBERS["curves"]])
    frame = _checked(curves, "curves")
    names = zip(runs["task"], runs["cell"], runs["seed"], strict=True)
    statuses = dict(zip(names, runs["status"], strict=True))
    keys = list(zip(frame["task"], frame["cell"], frame["seed"], strict=True))
    for row, key in zip(frame.index, keys, strict=True):
        if key not in statuses:
            raise ConfigurationError(
                f"curves, row {row}: expected a run that is in runs, got task {key[0]!r}, "
                f"cell {key[1]!r}, seed {key[2]}"
            )
    finished = np.array([statuses[key] == "finished" for key in keys], dtype=bool)
    return frame[finished].dropna(subset=["true_return"]).reset_index(drop=True)


def cell_parts(cell: str) -> tuple[str, str]:
    """Strategy and optimiser in a cell's name; an unknown name is a strategy of its own."""
    strategy, _, rest = cell.partition("-")
    if strategy not in COLOURS:
        return cell, ""
    return strategy, rest.partition("-")[0]


def failure_levels(
    failure_below: float | Mapping[str, float] | None,
    tasks: Sequence[str],
    references: Mapping[str, float],
    randoms: Mapping[str, float],
) -> dict[str, float]:
    """True return below which a seed has failed, by task; NaN where unknown.

    The default is half-way between the random policy and the reference.

    Args:
        failure_below: argument of `compare`.
        tasks: names.
        references: level of the true reward, by task; NaN where unknown.
        randoms: level of the untrained policy, by task; NaN where unknown.

    Raises:
        ConfigurationError: a mapping names a task that no run has, or a level is not finite.
    """
    if failure_below is None:
        return {
            task: (references[task] + randoms[task]) / 2
            if references[task] > randoms[task]
            else float("nan")
            for task in tasks
        }
    if not isinstance(failure_below, Mapping):
        failure_below = dict.fromkeys(tasks, failure_below)
    for task, level in failure_below.items():
        if task not in tasks:
            raise ConfigurationError(
                f"failure_below: expected one of the tasks {', '.join(tasks)}, got {task!r}"
            )
        if not np.isfinite(level):
            raise ConfigurationError(f"failure_below: expected a finite number, got {level}")
    return {task: float(failure_below.get(task, float("nan"))) for task in tasks}


def _checked(frame: "DataFrame", name: str) -> "DataFrame":
    missing = [column for column in REQUIRED[name] if column not in frame.columns]
    if missing:
        raise ConfigurationError(
            f"{name}: expected the columns {', '.join(REQUIRED[name])}; {', '.join(missing)} "
            f"{'is' if len(missing) == 1 else 'are'} missing"
        )
    frame = frame.copy()
    for column in ("task", "cell"):
        for row, value in frame[column].items():
            if not isinstance(value, str) or not value:
                raise ConfigurationError(
                    f"{name}.{column}, row {row}: expected a name, got {value!r}"
                )
    for row, value in frame["seed"].items():
        if not _whole(value):
            raise ConfigurationError(
                f"{name}.seed, row {row}: expected a whole number, got {value!r}"
            )
    frame["seed"] = frame["seed"].astype(int)
    for column in NUMBERS[name]:
        frame[column] = _numbers(frame, name, column)
    return frame


def _numbers(frame: "DataFrame", name: str, column: str) -> np.ndarray:
    if column not in frame.columns:
        return np.full(len(frame), np.nan)
    values = np.empty(len(frame))
    for position, (row, value) in enumerate(frame[column].items()):
        number = _number(value)
        if number is None or np.isinf(number):
            raise ConfigurationError(
                f"{name}.{column}, row {row}: expected a finite number, got {value!r}"
            )
        values[position] = number
    return values


def _number(value: object) -> float | None:
    """Return a number as a float, a missing one as NaN, and anything else as None."""
    import pandas as pd

    if value is None or value is pd.NA:
        return float("nan")
    if isinstance(value, (int, float, np.integer, np.floating, np.bool_)):
        return float(value)
    return None


def _whole(value: object) -> bool:
    number = _number(value)
    return number is not None and np.isfinite(number) and number == int(number)


def _texts(frame: "DataFrame", column: str) -> list[str]:
    if column not in frame.columns:
        return [""] * len(frame)
    missing = frame[column].isna()
    return [
        "" if absent else str(value) for value, absent in zip(frame[column], missing, strict=True)
    ]


def _refuse_duplicates(frame: "DataFrame", name: str, columns: list[str]) -> None:
    first: dict[tuple[object, ...], object] = {}
    for row, *key in frame[columns].itertuples():
        if tuple(key) in first:
            fields = ", ".join(f"{c} {v!r}" for c, v in zip(columns, key, strict=True))
            raise ConfigurationError(
                f"{name}, rows {first[tuple(key)]} and {row}: expected one run each, got two of "
                f"{fields}"
            )
        first[tuple(key)] = row
