"""Content-addressed artifacts: what goes in is immutable and named by its own digest.

A value (any dataclass derived from `rlhf_core.types.Value`) becomes one file (`rlhf_core.packing`),
and loading one from a stranger runs no code. Beside the objects stand the memos: which references a
finished stage gave, and the checkpoints of unfinished ones; both carry a digest of their key and
content. A process killed at any moment leaves either a whole file or none: in a folder a file is
written under a temporary name and moved; an object store, which has no move, writes each object as
a whole anyway. Everything that is read is verified: a flipped bit never makes a result.
"""

import hashlib
import json
import os
import uuid
from collections.abc import Mapping
from typing import Any

import fsspec

from rlhf_core.errors import DamagedError, StoreError
from rlhf_core.packing import SCHEMA, ValueType, pack, unpack
from rlhf_core.types import Value

Ref = str
"""Digest of a stored value: 64 hexadecimal digits of SHA-256."""

OBJECT, MEMO, CHECKPOINT, TEMPORARY = ".safetensors", ".json", ".checkpoint", ".tmp"
"""Endings of the files of a store."""
EXTRAS = {"s3": "s3", "s3a": "s3"}
"""Extras of this project by the scheme of a store's address."""
WHOLE = ("s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "memory")
"""Protocols of object stores, where an object appears whole or not at all."""


class Store:
    """Objects and memos under a root: a local folder, or any fsspec URL (`s3://...`)."""

    def __init__(self, root: str) -> None:
        self.root = root.rstrip("/")
        try:
            # What other machines write must be seen at once, so nothing is kept of a listing.
            self._files, self._base = fsspec.core.url_to_fs(self.root, use_listings_cache=False)
        except ImportError as error:
            scheme = self.root.partition("://")[0]
            hint = EXTRAS.get(scheme)
            way = f"pip install 'rlhf-flows[{hint}]'" if hint else "install what it names"
            raise StoreError(f"store {self.root} cannot be opened: {error}; {way}") from error
        except ValueError as error:
            raise StoreError(f"store {self.root} cannot be opened: {error}") from error
        self._errors = _errors(self._files)

    def create(self) -> "Store":
        """Write the store's header, unless it is there; returns the store.

        Raises:
            StoreError: the store cannot be written, or was written by another version.
        """
        header = self._header()
        if header is None and self._exists(f"{self._base}/objects"):
            header = {"schema": 0}
        if header is None:
            self._write(self._header_path, json.dumps({"schema": SCHEMA}).encode())
        else:
            self._check_schema(header)
        return self

    def opened(self) -> "Store":
        """The store, once it is known to be there.

        Raises:
            StoreError: there is no store, or it was written by another version.
        """
        header = self._header()
        if header is None:
            if "://" in self.root:
                raise StoreError(f"there is no store at {self.root}")
            raise StoreError(
                f"store {self.root} is not on this machine; mount it there, or set RLHF_STORE to "
                "an address that every worker reaches"
            )
        self._check_schema(header)
        return self

    @property
    def _header_path(self) -> str:
        return f"{self._base}/store.json"

    def _header(self) -> dict[str, Any] | None:
        if not self._exists(self._header_path):
            return None
        try:
            header: dict[str, Any] = json.loads(self._read(self._header_path))
        except ValueError as error:
            raise StoreError(f"{self._header_path} is damaged: {error}") from error
        return header

    def _check_schema(self, header: Mapping[str, Any]) -> None:
        schema = header.get("schema")
        if schema != SCHEMA:
            raise StoreError(
                f"store {self.root} has schema {schema}, and this version reads schema {SCHEMA}; "
                "choose another folder with --home or RLHF_STORE, or use the version that wrote it"
            )

    def put(self, value: Value) -> Ref:
        """Store a value and return its digest; storing it twice keeps one copy."""
        content = pack(value)
        ref = hashlib.sha256(content).hexdigest()
        if not self.holds(ref):
            self._write(self._object_path(ref), content)
        return ref

    def holds(self, ref: Ref) -> bool:
        """Whether the value is there and undamaged."""
        path = self._object_path(ref)
        return self._exists(path) and hashlib.sha256(self._read(path)).hexdigest() == ref

    def get(self, ref: Ref, expected: type[ValueType]) -> ValueType:
        """Load a value.

        Raises:
            DamagedError: its file is not what was stored.
            StoreError: it is missing, or of another type.
        """
        path = self._object_path(ref)
        content = self._read(path)
        if hashlib.sha256(content).hexdigest() != ref:
            raise DamagedError(f"{path} is damaged; resume the run, and it is made again")
        return unpack(content, expected)

    def remember(self, key: str, outcome: Mapping[str, Any]) -> None:
        """Write a memo (JSON): what a finished stage gave."""
        self._write(
            self._memo_path(key), _sealed(key, json.dumps(outcome, sort_keys=True).encode())
        )

    def recall(self, key: str) -> dict[str, Any] | None:
        """The memo under the key; None where there is none.

        Raises:
            DamagedError: the memo is not what was written.
        """
        path = self._memo_path(key)
        if not self._exists(path):
            return None
        outcome: dict[str, Any] = json.loads(_unsealed(key, self._read(path), path))
        return outcome

    def save_checkpoint(self, key: str, value: Value) -> None:
        """Write the newest state of something unfinished; it replaces the one before."""
        self._write(self._checkpoint_path(key), _sealed(key, pack(value)))

    def load_checkpoint(self, key: str) -> Value | None:
        """The newest checkpoint under the key; None where there is none.

        Raises:
            DamagedError: the checkpoint is not what was written.
        """
        path = self._checkpoint_path(key)
        if not self._exists(path):
            return None
        return unpack(_unsealed(key, self._read(path), path), Value)

    def delete_checkpoint(self, key: str) -> None:
        """Delete the checkpoint of something that is finished."""
        self._delete(self._checkpoint_path(key))

    def _delete(self, path: str) -> None:
        if self._exists(path):
            try:
                self._files.rm_file(path)
            except self._errors as error:
                raise StoreError(f"store {self.root} cannot be written: {error}") from error

    def memos(self) -> list[str]:
        """Keys of all memos."""
        return sorted(self._sizes("memo", MEMO))

    def checkpoints(self) -> list[str]:
        """Keys of all checkpoints."""
        return sorted(self._sizes("unfinished", CHECKPOINT))

    def objects(self) -> dict[Ref, int]:
        """Size in bytes of every object."""
        sizes = self._sizes("objects", OBJECT)
        return {name.rpartition("/")[2]: size for name, size in sizes.items()}

    def leftovers(self) -> dict[str, int]:
        """Size in bytes of every file that a killed process had not moved into place, by path."""
        if not self._exists(self._base):
            return {}
        files = self._files.find(self._base, detail=True)
        return {path: int(files[path]["size"]) for path in files if path.endswith(TEMPORARY)}

    def sweep(self, path: str) -> None:
        """Delete a leftover."""
        self._delete(path)

    def forget(self, key: str) -> None:
        """Delete the memo under the key."""
        self._delete(self._memo_path(key))

    def discard(self, ref: Ref) -> None:
        """Delete an object."""
        self._delete(self._object_path(ref))

    def _sizes(self, place: str, ending: str) -> dict[str, int]:
        """Size of every file of a place, by its name without the ending."""
        folder = f"{self._base}/{place}"
        if not self._exists(folder):
            return {}
        files = self._files.find(folder, detail=True)
        return {
            path[len(folder) + 1 :].removesuffix(ending): int(files[path]["size"])
            for path in files
            if path.endswith(ending)
        }

    def _memo_path(self, key: str) -> str:
        return f"{self._base}/memo/{key}{MEMO}"

    def _checkpoint_path(self, key: str) -> str:
        return f"{self._base}/unfinished/{key}{CHECKPOINT}"

    def _object_path(self, ref: Ref) -> str:
        return f"{self._base}/objects/{ref[:2]}/{ref}{OBJECT}"

    def _exists(self, path: str) -> bool:
        try:
            return bool(self._files.exists(path))
        except self._errors as error:
            raise StoreError(f"store {self.root} cannot be read: {error}") from error

    def _read(self, path: str) -> bytes:
        try:
            content: bytes = self._files.cat_file(path)
        except FileNotFoundError as error:
            raise StoreError(f"store {self.root} has no {path}") from error
        except self._errors as error:
            raise StoreError(f"store {self.root} cannot be read: {error}") from error
        return content

    def _write(self, path: str, content: bytes) -> None:
        try:
            if self._moves:
                self._write_and_move(path, content)
            else:
                self._files.pipe_file(path, content)
        except self._errors as error:
            raise StoreError(
                f"store {self.root} cannot be written: {error}; choose another place with "
                "--home, RLHF_HOME or RLHF_STORE"
            ) from error

    @property
    def _moves(self) -> bool:
        protocol = self._files.protocol
        protocols = (protocol,) if isinstance(protocol, str) else protocol
        return not any(one in WHOLE for one in protocols)

    def _write_and_move(self, path: str, content: bytes) -> None:
        temporary = f"{path}.{os.getpid()}-{uuid.uuid4().hex[:8]}{TEMPORARY}"
        self._files.makedirs(path.rpartition("/")[0], exist_ok=True)
        try:
            self._files.pipe_file(temporary, content)
            self._files.mv(temporary, path)
        except BaseException:
            if self._files.exists(temporary):
                self._files.rm_file(temporary)
            raise


def _errors(files: fsspec.AbstractFileSystem) -> tuple[type[Exception], ...]:
    """What a file system raises where it cannot read or write; those of S3 are no `OSError`."""
    if "s3" not in files.protocol:
        return (OSError,)
    from botocore.exceptions import BotoCoreError, ClientError

    return OSError, BotoCoreError, ClientError


def _sealed(key: str, content: bytes) -> bytes:
    """Content after a line with the digest of its key and itself."""
    return hashlib.sha256(key.encode() + b"\0" + content).hexdigest().encode() + b"\n" + content


def _unsealed(key: str, sealed: bytes, path: str) -> bytes:
    """Return the content of `_sealed`. Raises `DamagedError` where it is not what was written."""
    content = sealed.partition(b"\n")[2]
    if sealed != _sealed(key, content):
        raise DamagedError(f"{path} is damaged")
    return content
