"""Refusing numbers that are not finite: of environments, of policies, of fits."""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np

from rlhf_core.errors import DivergedError
from rlhf_core.types import Metrics, Value

REFUSALS = (
    "to satisfy the constraint",
    "without overflow",
    "must not contain infs or NaNs",
    "did not converge",
)
"""What torch, SciPy and NumPy's linear algebra say of numbers that are not finite."""


def all_finite(array: np.ndarray) -> bool:
    """Whether no number of an array is infinite or NaN; categories never are."""
    if array.dtype.kind != "f":
        return True
    # A third of the time of `isfinite`. A sum of squares that overflows decides nothing.
    return math.isfinite(np.vdot(array, array)) or bool(np.isfinite(array).all())


def check_arrays(arrays: Mapping[str, np.ndarray], where: str, hint: str) -> None:
    """Raise `DivergedError` where an array holds a number that is not finite.

    Args:
        arrays: by the name that the message gives.
        where: what they belong to, the start of the message.
        hint: what to do about it.
    """
    for name, values in arrays.items():
        array = np.asarray(values)
        if not all_finite(array):
            count = int((~np.isfinite(array)).sum())
            raise DivergedError(
                f"{where}: expected finite numbers, actual: {count} of the {array.size} of "
                f"'{name}' are infinite or NaN; {hint}"
            )


def check_value(value: Value | None, where: str, hint: str) -> None:
    """Raise `DivergedError` where a value holds a number that is not finite, however nested."""
    if value is not None:
        check_arrays(dict(_arrays(value, "")), where, hint)


def check_metrics(metrics: Metrics, where: str, hint: str) -> None:
    """Raise `DivergedError` where a metric, such as a loss, is not finite."""
    for name, number in metrics.items():
        if not math.isfinite(number):
            raise DivergedError(f"{where}: expected a finite {name}, actual: {number}; {hint}")


@contextmanager
def diverging(where: str, hint: str) -> Iterator[None]:
    """Turn the complaints of libraries about numbers that are not finite into `DivergedError`."""
    try:
        yield
    except (ValueError, RuntimeError, FloatingPointError, np.linalg.LinAlgError) as error:
        if not any(refusal in str(error) for refusal in REFUSALS):
            raise
        text = str(error).strip().partition("\n")[0]
        raise DivergedError(f"{where}: expected finite numbers, actual: {text}; {hint}") from error


def _arrays(value: Any, name: str) -> Iterator[tuple[str, np.ndarray]]:
    """Every array and number inside a value, by its path."""
    if isinstance(value, np.ndarray):
        yield name, value
    elif isinstance(value, float):
        yield name, np.array(value)
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _arrays(inner, f"{name}.{key}" if name else str(key))
    elif is_dataclass(value):
        for part in fields(value):
            inner = getattr(value, part.name)
            yield from _arrays(inner, f"{name}.{part.name}" if name else part.name)
