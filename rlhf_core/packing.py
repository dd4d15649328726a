"""Values as safetensors files: the arrays as tensors, the rest as JSON in the header.

Nothing is pickled, so reading a file from a stranger runs no code.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from rlhf_core.errors import ConfigurationError, ShapeError, StoreError
from rlhf_core.files import read_regular
from rlhf_core.types import Value

ValueType = TypeVar("ValueType", bound=Value)

SCHEMA = 2
"""Version of the format, in the header of a store and of each file."""
LARGEST = 8 * 2**30
"""Bytes of a file that a user names."""


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


def read_value(path: str | Path, expected: type[ValueType], writer: str) -> ValueType:
    """The value in a file of the user's.

    Args:
        path: of the file.
        expected: its type.
        writer: what writes such files, for the message.

    Raises:
        StoreError: there is no such file, or it holds something else.
    """
    try:
        content = read_regular(Path(path), LARGEST)
    except ConfigurationError as error:
        raise StoreError(f"expected a file that {writer} wrote: {error}") from error
    return unpack(content, expected)


def write_value(path: str | Path, value: Value) -> None:
    """Write a value to a file of the user's. Raises `StoreError` where that cannot be done."""
    try:
        Path(path).write_bytes(pack(value))
    except OSError as error:
        raise StoreError(f"{path}: cannot be written: {error}") from error


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
