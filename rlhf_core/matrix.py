"""A comparison as a matrix: experiments, the fields that are varied, and seeds.

    name: pendulum-strategies
    experiment: pendulum-preference
    vary:
      feedback.kind: [preference, direct_reward, true_reward]
      optimiser.kind: [ppo, pgpe]
    exclude:
      - {feedback.kind: direct_reward, optimiser.kind: pgpe}
    seeds: 5
    control: preference-ppo

A cell is one configuration without its seed; each of its seeds is one run. The cells are all
combinations of the experiments, the variants (named sets of changes) and the values that are
varied, but for those that are excluded.
"""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field, NonNegativeInt, PositiveInt, field_validator, model_validator

from rlhf_core.configuration import changed, with_changes
from rlhf_core.differences import word
from rlhf_core.errors import ConfigurationError, MatrixError
from rlhf_core.experiment import NAME, Experiment
from rlhf_core.plugin import Config, nearest
from rlhf_core.texts import shortened

Changes = Mapping[str, Any]
"""Values by the path of a field, such as `{"feedback.kind": "inverse_rl"}`."""
MOST_RUNS = 100_000


class Matrix(Config):
    """What is compared."""

    name: str = Field(pattern=NAME, max_length=100)
    """Names the comparison: the same name goes on with it."""
    experiment: str | dict[str, Any] | list[str | dict[str, Any]]
    """What is varied: a preset, a file or an experiment written out; or several, one a task."""
    set: dict[str, Any] = Field(default_factory=dict)
    """Changes for every cell, by the path of the field."""
    vary: dict[str, list[Any]] = Field(default_factory=dict)
    """The values of each field that is varied, by its path."""
    variants: dict[Annotated[str, Field(pattern=NAME)], dict[str, Any]] = Field(
        default_factory=dict
    )
    """Named sets of changes, one of which every cell has."""
    exclude: list[dict[str, Any]] = Field(default_factory=list)
    """Combinations to leave out: cells that have all of these values, given or by default."""
    seeds: PositiveInt | list[NonNegativeInt] = 5
    """How many seeds, from 0; or which."""
    control: str | None = None
    """The cell that others are measured against; null: the best of the others."""
    failure_below: float | dict[str, float] | None = None
    """A seed whose true return is lower counts as failed; one number, or one a task."""

    @field_validator("seeds")
    @classmethod
    def _some_seeds(cls, seeds: int | list[int]) -> int | list[int]:
        if isinstance(seeds, list) and not seeds:
            raise ValueError("expected at least one seed, actual: none")
        if isinstance(seeds, list) and len(seeds) != len({*seeds}):
            raise ValueError(f"expected each seed once, actual: {seeds}")
        if isinstance(seeds, int) and seeds > MOST_RUNS:
            raise ValueError(f"expected at most {MOST_RUNS:,}, actual: {seeds}")
        return seeds

    @model_validator(mode="after")
    def _comparable(self) -> "Matrix":
        named = {"set": self.set, "vary": self.vary}
        named |= {f"variants.{name}": changes for name, changes in self.variants.items()}
        for place, changes in named.items():
            if "seed" in changes:
                raise ValueError(f"{place}: expected the seeds in 'seeds', actual: a field 'seed'")
            if "name" in changes:
                raise ValueError(f"{place}: expected the name of the experiment to stay, actual: "
                                 "a field 'name'")  # fmt: skip
            twice = sorted({*self.vary} & {*changes}) if place != "vary" else []
            if twice:
                raise ValueError(f"{place}: expected no field that 'vary' has too, actual: {twice}")
        return self

    @model_validator(mode="after")
    def _some_values(self) -> "Matrix":
        for field, values in self.vary.items():
            if not values:
                raise ValueError(f"vary.{field}: expected at least one value, actual: none")
        runs = len(self.all_seeds)
        for axis in (self._experiments, self.variants or {"": {}}, *self.vary.values()):
            runs *= len(axis)
        if runs > MOST_RUNS:
            raise ValueError(f"expected at most {MOST_RUNS:,} runs, actual: {runs:,}")
        return self

    @property
    def all_seeds(self) -> tuple[int, ...]:
        """Every seed."""
        return tuple(range(self.seeds)) if isinstance(self.seeds, int) else tuple(self.seeds)

    @property
    def _experiments(self) -> list[str | dict[str, Any]]:
        return self.experiment if isinstance(self.experiment, list) else [self.experiment]

    @property
    def named_experiments(self) -> list[str]:
        """Presets and files that it refers to."""
        return [item for item in self._experiments if isinstance(item, str)]

    def cells(self, experiments: Mapping[str, Mapping[str, Any]]) -> "list[Cell]":
        """Every cell, each validated.

        Args:
            experiments: the content of `named_experiments`.

        Raises:
            MatrixError: names every problem of every cell.
        """
        cells = list[Cell]()
        refused: dict[str, list[str]] = {}
        used = set[int]()
        for item in self._experiments:
            base = experiments[item] if isinstance(item, str) else item
            source = item if isinstance(item, str) else "experiment"
            for names, changes in self._combinations():
                whole = {**self.set, **changes, "seed": 0}
                try:
                    experiment = changed(base, whole, source)
                except ConfigurationError as error:
                    # It may be excluded because it cannot be run.
                    rule = self._excluding(with_changes(base, whole, source))
                    if rule is None:
                        refused.setdefault(str(error), []).append(_described(changes))
                    else:
                        used.add(rule)
                    continue
                rule = self._excluding(experiment.model_dump(mode="json"))
                if rule is not None:
                    used.add(rule)
                    continue
                kinds = (experiment.feedback.kind, experiment.optimiser.kind)
                # Strategy and optimiser begin every name, whether they are varied or not.
                words = [*kinds, *(name for name in names if name not in kinds)]
                cells.append(Cell(experiment.name, "-".join(words), changes, experiment))
        problems = [f"{_several(cells)}: {problem}" for problem, cells in refused.items()]
        for index in sorted({*range(len(self.exclude))} - used):
            problems.append(
                f"exclude: expected a rule that fits a cell, actual: {self.exclude[index]}"
            )
        problems += self._mistakes(cells, bool(problems))
        if problems:
            raise MatrixError(problems)
        return cells

    def _excluding(self, data: Mapping[str, Any]) -> int | None:
        """The first rule that excludes an experiment; None where none does."""
        for index, rule in enumerate(self.exclude):
            if rule and all(_fits(value_at(data, field), value) for field, value in rule.items()):
                return index
        return None

    def _combinations(self) -> Iterator[tuple[list[str], dict[str, Any]]]:
        """The words that name a cell, its variant first, and its changes."""
        variants = [([name], changes) for name, changes in self.variants.items()] or [([], {})]
        for (names, changes), *values in itertools.product(variants, *self._axes()):
            words = [word(field, value, [*self.vary]) for field, value in values]
            yield [*names, *words], {**changes, **dict(values)}

    def _axes(self) -> list[list[tuple[str, Any]]]:
        return [[(field, value) for value in values] for field, values in self.vary.items()]

    def _mistakes(self, cells: "Sequence[Cell]", incomplete: bool) -> Iterator[str]:
        names = [cell.label for cell in cells]
        for name in sorted({name for name in names if names.count(name) > 1}):
            yield f"cell '{name}': expected one of this name, actual: {names.count(name)}"
        if not cells and not incomplete:
            yield "exclude: expected at least one cell that is left, actual: none"
        known = sorted({cell.name for cell in cells})
        if self.control is not None and self.control not in known and not incomplete:
            hint = nearest(self.control, known)
            yield f"control: unknown cell '{shortened(self.control)}'; {hint}"
        tasks = sorted({cell.task for cell in cells})
        if isinstance(self.failure_below, dict) and not incomplete:
            for task in sorted({*self.failure_below} - {*tasks}):
                yield f"failure_below: unknown task '{shortened(task)}'; {nearest(task, tasks)}"


@dataclass(frozen=True)
class Cell:
    """One configuration of a comparison; its seeds are its runs."""

    task: str
    """Name of the experiment that it varies."""
    name: str
    """Unlike that of every other cell of the task, such as `preference-ppo`."""
    changes: Changes
    """What distinguishes it."""
    experiment: Experiment
    """With seed 0."""

    @property
    def label(self) -> str:
        """Unlike that of every other cell of the comparison."""
        return f"{self.task}/{self.name}"

    def of_seed(self, seed: int) -> Experiment:
        """The experiment with this seed."""
        return self.experiment.model_copy(update={"seed": seed})


def _described(changes: Changes) -> str:
    """What distinguishes a cell, as a message calls it."""
    values = (f"{field}={shortened(str(value), 40)}" for field, value in changes.items())
    return f"cell {' '.join(values)}".strip()


def _several(descriptions: Sequence[str]) -> str:
    """Cells that share a problem: the first, and how many more."""
    first, more = descriptions[0], len(descriptions) - 1
    return f"{first} and {more} more" if more else first


def _fits(value: Any, wanted: Any) -> bool:
    """Whether a field has a value; a plug-in has that of its kind."""
    if isinstance(value, Mapping) and not isinstance(wanted, Mapping):
        return bool(wanted == value.get("kind", value.get("id")))
    return bool(wanted == value)


def value_at(data: Mapping[str, Any], field: str) -> Any:
    """The value of a field as an experiment was written; None where it is not."""
    place: Any = data
    for name in field.split("."):
        if isinstance(place, str):
            return place if name in ("kind", "id") else None
        place = place.get(name) if isinstance(place, Mapping) else None
    return place
