"""Studies of generalisation from their files."""

from pathlib import Path

from flows.experiments import presets
from flows.experiments.resolving import located
from rlhf_core.configuration import read, validated
from rlhf_core.generalisation.study import Generalisation


def study_of(file: str, seeds: int | None = None) -> Generalisation:
    """The study of a file.

    Args:
        file: its path. Files that it names may lie beside it.
        seeds: how many; None: as the file says.

    Raises:
        ConfigurationError: names the field, what was expected and what came.
    """
    data = read(presets.find(file), file, "'name', 'experiment', 'physics', ...")
    if isinstance(data.get("experiment"), str):
        data["experiment"] = located(data["experiment"], Path(file).parent)
    if seeds is not None:
        data["seeds"] = seeds
    return validated(Generalisation, data, file)
