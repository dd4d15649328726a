"""Drawn clips on disk, up to a number of bytes; those that were used least recently go first."""

import os
import re
import threading
import time
import uuid
from pathlib import Path

from rlhf_core.errors import ConfigurationError, StoreError

KEY = re.compile(r"[0-9a-f]{16,128}")
"""A digest: nothing that could leave the folder."""
TEMPORARY = ".tmp"
LEFTOVER_SECONDS = 3600.0
"""Age from which a temporary file is one that a killed process left."""


class Cache:
    """Bytes by the digest of what they were made from.

    A file is written under a temporary name and moved, so that readers get a whole file or none.
    Several processes may share a folder.
    """

    def __init__(self, folder: Path, limit: int) -> None:
        """A cache.

        Args:
            folder: of the files; made where it is not there.
            limit: bytes of all files together.

        Raises:
            ConfigurationError: the limit is not positive.
            StoreError: the folder cannot be made.
        """
        if limit < 1:
            raise ConfigurationError(f"limit: expected at least 1 byte, actual: {limit}")
        self._folder, self._limit, self._lock = Path(folder), limit, threading.Lock()
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._sweep()
        except OSError as error:
            raise StoreError(f"cache {self._folder} cannot be written: {error}") from error

    def get(self, key: str) -> bytes | None:
        """The content under a key; None where it is not there. It counts as used now.

        Raises:
            ConfigurationError: the key is no hexadecimal digest.
        """
        path = self._path(key)
        try:
            content = path.read_bytes()
            os.utime(path)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StoreError(f"cache {self._folder} cannot be read: {error}") from error
        return content

    def put(self, key: str, content: bytes) -> None:
        """Keep the content under a key. Content of more bytes than the limit is not kept.

        Raises:
            ConfigurationError: the key is no hexadecimal digest.
            StoreError: the folder cannot be written.
        """
        path = self._path(key)
        if len(content) > self._limit:
            return
        temporary = path.with_name(f"{key}.{os.getpid()}-{uuid.uuid4().hex[:8]}{TEMPORARY}")
        try:
            try:
                temporary.write_bytes(content)
                os.replace(temporary, path)
            finally:
                temporary.unlink(missing_ok=True)
            with self._lock:
                self._shrink()
        except OSError as error:
            raise StoreError(f"cache {self._folder} cannot be written: {error}") from error

    def _sweep(self) -> None:
        """Delete what a killed process was writing; another one may be writing right now."""
        oldest = time.time() - LEFTOVER_SECONDS
        for leftover in self._folder.glob(f"*{TEMPORARY}"):
            if leftover.stat().st_mtime < oldest:
                leftover.unlink(missing_ok=True)

    @property
    def size(self) -> int:
        """Bytes of all files together."""
        return sum(size for _, size, _ in self._files())

    def _files(self) -> list[tuple[int, int, Path]]:
        """When each file was last used, its bytes, and its path."""
        files = []
        for path in self._folder.iterdir():
            if KEY.fullmatch(path.name):
                try:
                    status = path.stat()
                except FileNotFoundError:
                    continue  # Another process made room.
                files.append((status.st_mtime_ns, status.st_size, path))
        return files

    def _shrink(self) -> None:
        files = sorted(self._files())
        total = sum(size for _, size, _ in files)
        for _, size, path in files:
            if total <= self._limit:
                return
            path.unlink(missing_ok=True)
            total -= size

    def _path(self, key: str) -> Path:
        if not KEY.fullmatch(key):
            raise ConfigurationError(
                f"key: expected 16 to 128 hexadecimal digits, actual: '{key[:40]}'"
            )
        return self._folder / key
