"""The file that a study is kept in: Optuna's journal, under a lock that dies with its owner."""

import fcntl
from pathlib import Path
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from optuna.storages import BaseStorage


class FileLock:
    """A lock of the system. Optuna's own is a link that a killed process leaves behind."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._held: IO[str] | None = None

    def acquire(self) -> bool:
        """Wait for the lock."""
        self._held = self._path.open("w")
        fcntl.flock(self._held, fcntl.LOCK_EX)
        return True

    def release(self) -> None:
        """Let go of the lock."""
        assert self._held is not None, "it is released by whoever has acquired it"
        self._held.close()


def journal(path: Path) -> "BaseStorage":
    """The storage in a file, made if need be."""
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    lock = FileLock(path.with_suffix(".lock"))
    return JournalStorage(JournalFileBackend(str(path), lock_obj=lock))  # type: ignore[arg-type]
