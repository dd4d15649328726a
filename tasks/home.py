"""Where a run keeps things: artifacts, leases, the embedded tracking database."""

import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from fnmatch import fnmatch
from pathlib import Path
from typing import IO

from rlhf_core.errors import RunError, StoreError
from rlhf_core.store import Store

CONTENTS = {
    "labelling": (
        "labels.db*", "clips", "secret", ".secret-*", "port", ".port-*", "server.json",
        ".server.json-*", "server.log", "*.lock",
    ),
    "leases": ("*.json",),
    "locks": ("*.lock",),
    "logs": ("[0-9]*-[0-9]*-[0-9]*.log",),
    "mlflow": ("mlflow.db*", "artifacts", "place", ".place-*", "server.log"),
    "notifications": ("notifications.yaml", ".notifications.yaml-*"),
    "prefect": (
        "prefect.db*", "memo_store.toml", "profiles.toml", "storage", "secret", ".secret-*",
        "tickets", "server.json", ".server.json-*", ".server-*", "server.log", "*.lock",
    ),
    "progress": ("*.json", ".*.json-*"),
    "reports": ("*.html",),
    "schedules": ("*.yaml", ".*.yaml-*", "*.json", ".*.json-*", "*.now", "*.log", "*.lock"),
    "store": ("store.json*", "objects", "memo", "unfinished"),
    "sweeps": ("*.journal", "*.lock", "*.yaml", ".*.yaml-*"),
}  # fmt: skip
"""What the folders of a home hold, by name; one that holds anything else is not ours alone."""


def try_lock(handle: IO[str]) -> bool:
    """Take the lock of an open file, unless it is held; closing the file releases it."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def private(path: Path, mode: str) -> IO[str]:
    """Open a text file that only its owner may read and write, made so if need be."""
    handle = open(path, mode, opener=_owner_only)  # noqa: SIM115 - the caller closes it
    if path.stat().st_mode & 0o077:
        os.fchmod(handle.fileno(), 0o600)  # Of an earlier version.
    return handle


def write_private(path: Path, text: str, overwrite: bool = True) -> None:
    """Write a whole text file that only its owner may read; a kill leaves the whole or none.

    Args:
        path: of the file, in a folder that is there.
        text: its content.
        overwrite: replace a file that is there; else that one stays.
    """
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    draft = Path(name)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        if overwrite:
            draft.replace(path)
        else:
            os.link(draft, path)
    except FileExistsError:
        return  # Another process was faster, and its file counts.
    finally:
        draft.unlink(missing_ok=True)


def _owner_only(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _is_ours(folder: Path) -> bool:
    """Whether a folder of a home holds files of ours, and no others."""
    names, patterns = os.listdir(folder), CONTENTS.get(folder.name, ())
    return bool(names) and all(any(fnmatch(n, p) for p in patterns) for n in names)


class Home:
    """The folder of the embedded defaults; `RLHF_HOME`, else `.rlhf` in the working folder."""

    def __init__(self, path: str | os.PathLike[str] | None = None) -> None:
        self.path = Path(path or os.environ.get("RLHF_HOME") or ".rlhf").absolute()

    def folder(self, name: str) -> Path:
        """A folder of the home, made if need be, which only its owner may enter.

        A folder that was there before keeps its mode where it may hold other things: the one that
        holds the home, and one in it with files that are not ours.

        Raises:
            StoreError: it cannot be made, or not be written to.
        """
        place = self.path / name
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            place.mkdir(mode=0o700, exist_ok=True)
            status = place.stat()
            if status.st_mode & 0o077 and status.st_uid == os.getuid() and _is_ours(place):
                place.chmod(0o700)  # Of an earlier version.
            if not os.access(place, os.W_OK):
                raise PermissionError(f"no permission to write to {place}")
        except OSError as error:
            raise StoreError(
                f"store {self.path} cannot be written: {error}; choose another folder with "
                "--home or RLHF_HOME"
            ) from error
        return place

    def expect(self) -> None:
        """Raise `RunError` where there is no home yet: what reads one makes none."""
        elsewhere = os.environ.get("RLHF_STORE") or os.environ.get("MLFLOW_TRACKING_URI")
        if not elsewhere and not (self.path / "store" / "store.json").exists():
            raise RunError(f"there is no home at {self.path}; try --home, or go to its folder")

    @property
    def store_address(self) -> str:
        """Of the artifact store: `RLHF_STORE` (a folder or an fsspec URL), else in the home."""
        return os.environ.get("RLHF_STORE") or str(self.folder("store"))

    @property
    def store(self) -> Store:
        """The artifact store, made if need be."""
        return Store(self.store_address).create()

    @contextmanager
    def locked(self, name: str) -> Iterator[None]:
        """Only one process of this machine at a time is inside; a killed one lets go."""
        with (self.folder("locks") / f"{name}.lock").open("w") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield

    @contextmanager
    def alone(self, name: str, what: str) -> Iterator[None]:
        """Only one process of this machine is inside; another one is refused.

        Raises:
            RunError: another process is inside.
        """
        with (self.folder("locks") / f"{name}.lock").open("a+") as handle:
            if not try_lock(handle):
                raise RunError(f"{what} is going on in another process")
            yield
