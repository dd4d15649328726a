"""Content-addressed artifacts: what goes in is immutable and named by its own digest.

A value (any dataclass derived from `rlhf_core.types.Value`) becomes one safetensors file: the
arrays as tensors, the rest as JSON in its header. Nothing is pickled, so loading a file from a
stranger runs no code. Beside the objects stand the memos: which references a finished stage
gave, and the checkpoints of unfinished ones; both carry a digest of their key and content. A file
is written under a temporary name and moved, so that a process killed at any moment leaves either
the whole file or none. Everything that is read is verified: a flipped bit never makes a result.
"""

import hashlib
import json
import os
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any, TypeVar

import fsspec
import numpy as np

from rlhf_core.errors import DamagedError, ShapeError, StoreError
from rlhf_core.types import Value

Ref = str
"""Digest of a stored value: 64 hexadecimal digits of SHA-256."""

ValueType = TypeVar("ValueType", bound=Value)


SCHEMA = 1
"""Version of the format, in the header of a store and of each file."""


class Store:
    """Objects and memos under a root: a local folder, or any fsspec URL (`s3://...`)."""

    def __init__(self, root: str) -> None:
        self.root = root.rstrip("/")
        try:
            self._files, self._base = fsspec.core.url_to_fs(self.root)
        except (ImportError, ValueError) as error:
            raise StoreError(f"store {self.root} cannot be opened: {error}") from error

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
        path = self._checkpoint_path(key)
        if self._exists(path):
            try:
                self._files.rm_file(path)
            except OSError as error:
                raise StoreError(f"store {self.root} cannot be written: {error}") from error

    def _memo_path(self, key: str) -> str:
        return f"{self._base}/memo/{key}.json"

    def _checkpoint_path(self, key: str) -> str:
        return f"{self._base}/unfinished/{key}.checkpoint"

    def _object_path(self, ref: Ref) -> str:
        return f"{self._base}/objects/{ref[:2]}/{ref}.safetensors"

    def _exists(self, path: str) -> bool:
        try:
            return bool(self._files.exists(path))
        except OSError as error:
            raise StoreError(f"store {self.root} cannot be read: {error}") from error

    def _read(self, path: str) -> bytes:
        try:
            content: bytes = self._files.cat_file(path)
        except FileNotFoundError as error:
            raise StoreError(f"store {self.root} has no {path}") from error
        except OSError as error:
            raise StoreError(f"store {self.root} cannot be read: {error}") from error
        return content

    def _write(self, path: str, content: bytes) -> None:
        temporary = f"{path}.{os.getpid()}-{uuid.uuid4().hex[:8]}.tmp"
        try:
            self._files.makedirs(path.rpartition("/")[0], exist_ok=True)
            try:
                self._files.pipe_file(temporary, content)
                self._files.mv(temporary, path)
            except BaseException:
                if self._files.exists(temporary):
                    self._files.rm_file(temporary)
                raise
        except OSError as error:
            raise StoreError(
                f"store {self.root} cannot be written: {error}; choose another folder with "
                "--home or RLHF_HOME"
            ) from error


def _sealed(key: str, content: bytes) -> bytes:
    """Content after a line with the digest of its key and itself."""
    return hashlib.sha256(key.encode() + b"\0" + content).hexdigest().encode() + b"\n" + content


def _unsealed(key: str, sealed: bytes, path: str) -> bytes:
    """Return the content of `_sealed`. Raises `DamagedError` where it is not what was written."""
    content = sealed.partition(b"\n")[2]
    if sealed != _sealed(key, content):
        raise DamagedError(f"{path} is damaged")
    return content


def pack(value: Value) -> bytes:
    """A value as one safetensors file; equal values give equal bytes."""
    from safetensors.numpy import save

    arrays: dict[str, np.ndarray] = {}
    # One entry alone: safetensors writes several in any order.
    header = json.dumps({"schema": SCHEMA, **_encode(value, arrays)}, sort_keys=True)
    return save(arrays, metadata={"value": header})


def unpack(content: bytes, expected: type[ValueType]) -> ValueType:
    """The value that `pack` made a file of. Runs no code from the file."""
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        length = int.from_bytes(content[:8], "little")
        header = json.loads(json.loads(content[8 : 8 + length])["__metadata__"]["value"])
        schema = header.pop("schema", 0)
        if schema != SCHEMA:
            raise StoreError(
                f"expected a stored {expected.__name__} of schema {SCHEMA}, actual: schema "
                f"{schema}, of another version of rlhf-flows"
            )
        value = _decode(header, load(content))
    except (
        SafetensorError, ShapeError, AttributeError, KeyError, TypeError, ValueError
    ) as error:  # fmt: skip
        raise StoreError(f"expected a stored {expected.__name__}, actual: {error}") from error
    if not isinstance(value, expected):
        raise StoreError(f"expected a {expected.__name__}, actual: {type(value).__name__}")
    return value


def _encode(item: Any, arrays: dict[str, np.ndarray]) -> Any:
    if isinstance(item, Value):
        content = {f.name: _encode(getattr(item, f.name), arrays) for f in fields(item)}  # type: ignore[arg-type]
        return {"type": type(item).__name__, "fields": content}
    if isinstance(item, np.ndarray):
        if item.dtype.kind not in "biuf":
            raise TypeError(f"an array of {item.dtype} cannot be stored")
        name = f"a{len(arrays)}"
        arrays[name] = np.ascontiguousarray(item).reshape(item.shape)
        return {"array": name}
    if isinstance(item, Mapping):
        return {"map": {key: _encode(item[key], arrays) for key in sorted(item)}}
    if isinstance(item, Sequence) and not isinstance(item, (str, bytes)):
        return [_encode(entry, arrays) for entry in item]
    if item is None or isinstance(item, (str, bool, int, float)):
        return item
    raise TypeError(f"a {type(item).__name__} cannot be stored")


def _decode(item: Any, arrays: Mapping[str, np.ndarray]) -> Any:
    if isinstance(item, list):
        return tuple(_decode(entry, arrays) for entry in item)
    if not isinstance(item, dict):
        return item
    if "array" in item:
        return arrays[item["array"]]
    if "map" in item:
        return {key: _decode(entry, arrays) for key, entry in item["map"].items()}
    content = {name: _decode(entry, arrays) for name, entry in item["fields"].items()}
    return Value.registry[item["type"]](**content)
