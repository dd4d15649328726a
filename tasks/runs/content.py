"""What decides the numbers of a run: its configuration, its seed, the files it reads, its code."""

import hashlib
import json
from collections.abc import Iterator
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

import rlhf_core
from rlhf_core.errors import StoreError
from rlhf_core.experiment import Experiment
from rlhf_core.plugin import plugin_packages

NUMERIC = ("numpy", "scipy", "torch", "gymnasium", "stable-baselines3", "sb3-contrib", "mujoco",
           "envpool", "cma")  # fmt: skip
"""Libraries that the numbers depend on."""
WITHOUT_NUMBERS = ("comparison", "differences.py", "label_sets", "matrix.py", "retraining")
"""Parts of `rlhf_core` that no run calls."""


def content_of(experiment: Experiment) -> str:
    """The digest of all that decides the numbers of a run.

    Two runs of one digest have the same numbers on one machine. The name of the experiment does not
    count.
    """
    fields = experiment.model_dump(mode="json", exclude={"name"})
    module = experiment.environment.id.rpartition(":")[0]
    folders = (digest_of(Path(folder)) for _, folder in experiment.folders())
    return _digest(json.dumps(fields, sort_keys=True), code_version(), _module(module), *folders)


def digest_of(folder: Path) -> str:
    """The digest of a folder's files and their names; that of no file where there is no folder."""
    try:
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        return _digest(*(f"{path.relative_to(folder)} {_file(path)}" for path in files))
    except OSError as error:
        raise StoreError(f"{folder}: expected files that can be read, actual: {error}") from error


def _file(path: Path) -> str:
    """The digest of a file."""
    state = path.stat()
    return _file_as_of(path, state.st_mtime_ns, state.st_size)


@cache
def _file_as_of(path: Path, changed: int, size: int) -> str:
    """The digest of a file, read once for each change of it: a language model may be large."""
    with path.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


@cache
def code_version() -> str:
    """The digest of the core's source, of installed plug-ins and of the versions of libraries."""
    root = Path(rlhf_core.__file__).parent
    sources = (
        f"{path.relative_to(root)} {_digest(path.read_text(encoding='utf-8'))}"
        for path in sorted(root.rglob("*.py"))
        if path.relative_to(root).parts[0] not in WITHOUT_NUMBERS
    )
    plugins = (_module(package) for package in sorted(plugin_packages()))
    return _digest(*sources, *plugins, *_versions())


def _versions() -> Iterator[str]:
    for name in NUMERIC:
        try:
            yield f"{name} {version(name)}"
        except PackageNotFoundError:
            yield f"{name} is not installed"


def _module(name: str) -> str:
    """The digest of a module of the user's own, or of all modules of a package."""
    spec = find_spec(name) if name else None
    if spec is None or spec.origin is None:
        return ""
    origin = Path(spec.origin)
    files = sorted(origin.parent.rglob("*.py")) if spec.submodule_search_locations else [origin]
    return _digest(*(path.read_text(encoding="utf-8") for path in files))


def _digest(*texts: str) -> str:
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()
