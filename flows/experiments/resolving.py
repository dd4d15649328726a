"""What a flow is given for its experiment: a preset's name, a path, a mapping, or the thing itself.

Flows are started from Python, by a deployment's parameters and from the form on Prefect's page, of
which the last two know texts and JSON alone.
"""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import SkipValidation, WithJsonSchema

from flows.comparison import matrices
from flows.experiments import presets
from flows.schedules.seeds import fresh_seed
from rlhf_core.configuration import changed, override, read, validated
from rlhf_core.errors import ConfigurationError
from rlhf_core.experiment import Experiment
from rlhf_core.matrix import Matrix
from rlhf_core.sweep import Sweep
from rlhf_core.texts import shortened_repr
from tasks.tracking.tags import LONGEST_NAME

_TEXT_OR_OBJECT = WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "object"}]})

GivenExperiment = Annotated[str | dict[str, Any] | SkipValidation[Experiment], _TEXT_OR_OBJECT]
"""A preset, the path of a YAML file, an experiment written out, or one that is validated."""
GivenMatrix = Annotated[str | dict[str, Any] | SkipValidation[Matrix], _TEXT_OR_OBJECT]
"""The path of a comparison's YAML file, one written out or one that is validated; or a preset or an
experiment, of which several seeds are played."""
GivenSweep = Annotated[str | dict[str, Any] | SkipValidation[Sweep], _TEXT_OR_OBJECT]
"""The path of a sweep's YAML file, one written out or one that is validated."""
SeedPolicy = Literal["fixed", "fresh"]
"""`fixed`: the seeds as they are written, so that every run has the same numbers. `fresh`: seeds of
the scheduled time (`fresh_seed`), so that every run has others and a retry has those of its run."""


def experiment_of(
    given: object, overrides: Mapping[str, Any], policy: SeedPolicy, scheduled: datetime
) -> Experiment:
    """The experiment that a flow was given, validated and checked.

    Args:
        given: a preset, a path, a mapping or an experiment.
        overrides: values by the path of the field, such as `budget.labels`.
        policy: whether the seed is the one that is written or one of the scheduled time.
        scheduled: when the flow run was scheduled to start.

    Raises:
        ConfigurationError: names the field, what was expected and what came.
    """
    if isinstance(given, Experiment):
        experiment = override(given, overrides) if overrides else given
    elif isinstance(given, str):
        source = presets.source(given)
        data = read(presets.find(given), source, "'name', 'environment', ...")
        experiment = changed(data, overrides, source)
    else:
        experiment = changed(_mapping(given), overrides, "experiment")
    if policy == "fixed":
        return experiment
    return experiment.model_copy(update={"seed": fresh_seed(experiment.seed, scheduled)})


def matrix_of(
    given: object, overrides: Mapping[str, Any], policy: SeedPolicy, scheduled: datetime
) -> Matrix:
    """The comparison that a flow was given, validated; its cells are not.

    A fresh one is called by its scheduled time too: a name stands for one set of runs.

    Args:
        given: a preset, a path, a mapping or a matrix.
        overrides: values for every cell by the path of the field.
        policy: whether the seeds are those that are written or follow one of the scheduled time.
        scheduled: when the flow run was scheduled to start.

    Raises:
        ConfigurationError: names the field, what was expected and what came.
    """
    if isinstance(given, Matrix):
        matrix = given
    elif isinstance(given, str):
        matrix = matrices.of(given, matrices.Options())
    else:
        data = _mapping(given)
        if "environment" in data:
            data = {"name": f"{data.get('name', 'experiment')}-compared", "experiment": data}
        matrix = validated(Matrix, data, "experiment")
    changes: dict[str, Any] = {}
    if overrides:
        changes["set"] = {**matrix.set, **overrides}
    if policy == "fresh":
        time = f"-{scheduled:%Y%m%d-%H%M%S}"
        changes["name"] = matrix.name[: LONGEST_NAME - len(time)] + time
        first = fresh_seed(min(matrix.all_seeds), scheduled)
        changes["seeds"] = [first + index for index in range(len(matrix.all_seeds))]
    if not changes:
        return matrix
    return validated(Matrix, matrix.model_dump() | changes, f"comparison {matrix.name}")


def sweep_of(given: object) -> Sweep:
    """The sweep that a flow was given, validated; whether its space can be set is not looked at.

    Raises:
        ConfigurationError: names the field, what was expected and what came.
    """
    if isinstance(given, Sweep):
        return given
    if not isinstance(given, str):
        return validated(Sweep, _mapping(given), "sweep")
    data = read(presets.find(given), given, "'name', 'experiment', 'space', ...")
    if isinstance(data.get("experiment"), str):
        data["experiment"] = located(data["experiment"], Path(given).parent)
    return validated(Sweep, data, given)


def located(experiment: str, folder: Path) -> str:
    """The path of a file made absolute from a folder; the name of a preset as it is."""
    path = folder / experiment
    if len(experiment) < 1000 and (path.is_file() or path.suffix in (".yaml", ".yml")):
        return str(path.resolve())
    return experiment


def _mapping(given: object) -> dict[str, Any]:
    if not isinstance(given, Mapping):
        raise ConfigurationError(
            "experiment: expected the name of a preset, the path of a YAML file or a mapping, "
            f"actual: {shortened_repr(given)}"
        )
    return dict(given)
