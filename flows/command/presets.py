"""Experiments by name: the YAML files that ship in `flows/experiments`."""

from pathlib import Path

from rlhf_core.errors import ConfigurationError
from rlhf_core.plugin import nearest

FOLDER = Path(__file__).resolve().parents[1] / "experiments"


def names() -> list[str]:
    """All presets."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def find(file_or_preset: str) -> Path:
    """The file of a preset, or the file itself.

    Raises:
        ConfigurationError: neither a file nor a preset.
    """
    path = Path(file_or_preset)
    if path.suffix in (".yaml", ".yml") or path.is_file():
        return path
    if file_or_preset in names():
        return FOLDER / f"{file_or_preset}.yaml"
    raise ConfigurationError(
        f"unknown preset '{file_or_preset}'; {nearest(file_or_preset, names())} "
        "(or the path of a .yaml file)"
    )
