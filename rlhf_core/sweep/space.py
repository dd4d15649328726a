"""The space of a sweep: fields of an experiment, and the values that each may take."""

import json
from collections.abc import Mapping
from math import isclose
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BeforeValidator, Field, model_validator

from rlhf_core.plugin import Config

if TYPE_CHECKING:
    from optuna import Trial


class Range(Config):
    """Numbers of an interval, or the choices of a list.

    An interval is one of whole numbers where both of its ends are.
    """

    low: int | float | None = None
    high: int | float | None = None
    log: bool = False
    """Whether the logarithm of the number is drawn uniformly."""
    step: int | float | None = None
    """Distance of neighbouring numbers; null: any number, or any whole one."""
    choices: list[Any] | None = None
    """The values, in place of an interval."""
    when: dict[str, Any] = Field(default_factory=dict)
    """Values of other fields of the space under which this one is varied; else it stays as the
    experiment has it."""

    @model_validator(mode="after")
    def _has_values(self) -> "Range":
        if self.choices is not None:
            if not (self.low is None and self.high is None and self.step is None and not self.log):
                raise ValueError("expected either choices or an interval, actual: both")
            if not self.choices:
                raise ValueError("choices: expected at least one, actual: none")
            if len({*map(_text, self.choices)}) < len(self.choices):
                raise ValueError(f"choices: expected each once, actual: {self.choices}")
            return self
        if self.low is None or self.high is None:
            raise ValueError("expected low and high, or choices, actual: not both of low and high")
        if not self.low < self.high:
            raise ValueError(f"low: expected less than high ({self.high}), actual: {self.low}")
        if self.log and self.low <= 0:
            raise ValueError(f"low: expected more than 0 with log, actual: {self.low}")
        if self.log and self.step is not None:
            raise ValueError(f"step: expected none with log, actual: {self.step}")
        if self.step is not None and not 0 < self.step <= self.high - self.low:
            raise ValueError(
                f"step: expected more than 0 and at most high - low, actual: {self.step}"
            )
        if self.whole and isinstance(self.step, float):
            raise ValueError(f"step: expected a whole number, as low and high, actual: {self.step}")
        return self

    @property
    def whole(self) -> bool:
        """Whether it is an interval of whole numbers."""
        return isinstance(self.low, int) and isinstance(self.high, int)

    def suggested(self, trial: "Trial", field: str) -> Any:
        """The value that a trial has for a field; drawn, where it has none yet."""
        if self.choices is not None:
            # Optuna stores plain values alone, and a choice may be a list or a mapping.
            return json.loads(trial.suggest_categorical(field, [*map(_text, self.choices)]))
        assert self.low is not None, "checked above"
        assert self.high is not None, "checked above"
        if self.whole:
            step = 1 if self.step is None else int(self.step)
            return trial.suggest_int(field, int(self.low), int(self.high), step=step, log=self.log)
        return trial.suggest_float(field, self.low, self.high, step=self.step, log=self.log)

    def applies(self, values: Mapping[str, Any]) -> bool:
        """Whether the field is varied, given the values of those before it."""
        return all(
            field in values and values[field] == wanted for field, wanted in self.when.items()
        )

    def value_of(self, stored: Any) -> Any:
        """The value that Optuna stored."""
        return stored if self.choices is None else json.loads(stored)

    def stored(self, value: Any) -> Any:
        """A value as Optuna stores it; None where it is not one of the range."""
        if self.choices is not None:
            return _text(value) if any(_text(value) == _text(one) for one in self.choices) else None
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not self.low <= value <= self.high or (self.whole and value % 1):
            return None
        if self.step is not None:
            steps = (value - self.low) / self.step
            if not isclose(steps, round(steps), abs_tol=1e-9):
                return None
        return value


def _text(choice: Any) -> str:
    return json.dumps(choice, sort_keys=True)


def _as_range(value: Any) -> Any:
    return {"choices": value} if isinstance(value, list) else value


Space = Annotated[dict[str, Annotated[Range, BeforeValidator(_as_range)]], Field(min_length=1)]
"""Ranges by the path of a field; a list is short for its choices."""


def suggested(space: Mapping[str, Range], trial: "Trial") -> dict[str, Any]:
    """The values of a trial by the path of a field; those that it has not yet are drawn."""
    values = dict[str, Any]()
    for field, one in space.items():
        if one.applies(values):
            values[field] = one.suggested(trial, field)
    return values
