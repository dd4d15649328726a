"""The trials of a sweep as cells, whose runs are those of a comparison."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flows.comparison import plan
from flows.experiments import presets
from rlhf_core.configuration import changed, read
from rlhf_core.errors import ConfigurationError
from rlhf_core.experiment import Experiment
from rlhf_core.matrix import Cell, Matrix, value_at
from rlhf_core.sweep import Setting, Sweep
from rlhf_core.sweep.space import Range

USUAL = "usual"
"""Names the experiment as it is."""


@dataclass(frozen=True)
class Base:
    """What a sweep varies."""

    content: Mapping[str, Any]
    """The experiment as it was written."""
    experiment: Experiment
    """With the changes that every trial has."""
    source: str
    """What messages call it."""
    set: Mapping[str, Any]
    """The changes that every trial has."""

    def cell(self, setting: Setting) -> Cell:
        """A trial as a cell.

        Raises:
            ConfigurationError: an experiment with these values cannot be run.
        """
        return self._cell(setting.changes, f"trial-{setting.number}")

    @property
    def usual(self) -> Cell:
        """The experiment as it is, as a cell."""
        return self._cell({}, USUAL)

    def _cell(self, changes: Mapping[str, Any], name: str) -> Cell:
        whole = {**self.set, **changes, "seed": 0}
        experiment = changed(self.content, whole, self.source)
        kinds = experiment.feedback.kind, experiment.optimiser.kind
        return Cell(experiment.name, "-".join([*kinds, name]), changes, experiment)

    def usual_values(self, space: Mapping[str, Range]) -> dict[str, Any]:
        """The value that the experiment has for each field of a space."""
        content = self.experiment.model_dump(mode="json")
        return {field: value_at(content, field) for field in space}


def base_of(sweep: Sweep) -> Base:
    """The experiment of a sweep, and proof that each field of its space can be set.

    Raises:
        ConfigurationError: the experiment cannot be run, or a field or value of the space is none.
    """
    if isinstance(sweep.experiment, str):
        source = presets.source(sweep.experiment)
        content = read(presets.find(sweep.experiment), source, "'name', 'environment', ...")
    else:
        source, content = "experiment", sweep.experiment
    experiment = changed(content, {**sweep.set, "seed": 0}, source)
    base = Base(content, experiment, source, sweep.set)
    _check_fields(base, sweep)
    plan.check([base.usual])
    return base


def _check_fields(base: Base, sweep: Sweep) -> None:
    """Each field by itself, with an end of its range: a misspelt one is no failed trial."""
    for field, one in sweep.space.items():
        value = one.low if one.choices is None else one.choices[0]
        try:
            changed(base.content, {**sweep.set, **one.when, field: value, "seed": 0}, base.source)
        except ConfigurationError as error:
            raise ConfigurationError(f"space.{field}: {error}") from error


def matrix_of(sweep: Sweep, base: Base) -> Matrix:
    """The matrix that the runs of the trials belong to."""
    return Matrix(
        name=sweep.name, experiment=dict(base.content), set=dict(sweep.set),
        seeds=list(sweep.tuned_on),
    )  # fmt: skip


def final_matrix(sweep: Sweep, base: Base, best: Sequence[Setting]) -> Matrix:
    """The best settings beside the experiment as it is, on seeds that no trial was played with."""
    usual = base.usual
    variants: dict[str, dict[str, Any]] = {USUAL: {}}
    for setting in best:
        if base.cell(setting).experiment != usual.experiment:
            variants[f"trial-{setting.number}"] = dict(setting.changes)
    return Matrix(
        name=f"{sweep.name}-final", experiment=dict(base.content), set=dict(sweep.set),
        variants=variants, seeds=list(sweep.fresh), control=usual.name,
    )  # fmt: skip
