"""Experiments by name: the YAML files that ship in the folders beside this file, one folder an
application.
"""

from collections.abc import Iterable
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING

from rlhf_core.errors import ConfigurationError
from rlhf_core.plugin import nearest
from rlhf_core.texts import shortened

if TYPE_CHECKING:
    from rlhf_core.experiment import Experiment

FOLDER = Path(__file__).resolve().parent


def names() -> list[str]:
    """All presets."""
    return sorted(_files())


def by_application() -> dict[str, list[str]]:
    """Presets by what they are for, such as `robots`; classic control comes first."""
    applications: dict[str, list[str]] = {}
    for name, path in _files().items():
        applications.setdefault(path.parent.name.replace("_", " "), []).append(name)
    first = "classic control"
    return {one: applications[one] for one in sorted(applications, key=lambda a: (a != first, a))}


def _files() -> dict[str, Path]:
    """The file of every preset."""
    return {path.stem: path for path in sorted(FOLDER.glob("*/*.yaml"))}


def find(file_or_preset: str) -> Path:
    """The file of a preset, or the file itself.

    Raises:
        ConfigurationError: neither a file nor a preset.
    """
    path = Path(file_or_preset)
    try:
        exists = path.exists()
    except OSError:
        exists = False  # A name that no file can have.
    if path.suffix in (".yaml", ".yml") or (exists and path.is_file()):
        return path
    files = _files()
    if file_or_preset in files:
        return files[file_or_preset]
    if exists:
        return path  # A folder or a pipe, as its reader will say.
    raise ConfigurationError(
        f"unknown preset '{shortened(file_or_preset)}'; {nearest(file_or_preset, [*files])} "
        "(or the path of a .yaml file)"
    )


def source(file_or_preset: str) -> str:
    """What messages call it: a preset is a file that the user has never seen."""
    path = find(file_or_preset)
    return f"preset {path.stem}" if path.is_relative_to(FOLDER) else str(path)


def load(file_or_preset: str, overrides: Iterable[str], seed: int | None) -> "Experiment":
    """The experiment of a preset or a file, with an environment that has taken a step.

    Args:
        file_or_preset: as for `find`.
        overrides: `field.field=value` texts.
        seed: root of all randomness; None leaves the experiment's own.

    Raises:
        ConfigurationError: names the field, what was expected and what came.
        BrokenEnvironmentError: the environment does not work.
    """
    from rlhf_core import configuration

    changes = [*overrides, *([] if seed is None else [f"seed={seed}"])]
    loaded = configuration.load(find(file_or_preset), changes, source(file_or_preset))
    loaded.environment.try_out()
    return loaded


def text(preset: str) -> str:
    """The file of a preset. Raises `ConfigurationError` where there is none of that name."""
    files = _files()
    if preset not in files:
        raise ConfigurationError(
            f"unknown preset '{shortened(preset)}'; {nearest(preset, [*files])}"
        )
    return files[preset].read_text(encoding="utf-8")


def description(preset: str) -> str:
    """The first sentence of a preset's comment."""
    lines = text(preset).splitlines()
    comment = " ".join(
        line.removeprefix("#").strip() for line in takewhile(lambda at: at.startswith("#"), lines)
    )
    return comment.split(". ")[0].rstrip(".") + "."
