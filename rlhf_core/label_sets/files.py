"""Label sets as files: JSON lines, or Parquet where pyarrow is installed."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from rlhf_core.configuration import validated
from rlhf_core.errors import ConfigurationError, StoreError
from rlhf_core.files import read_regular
from rlhf_core.label_sets.assembling import batches_of
from rlhf_core.label_sets.batch import LabelBatch
from rlhf_core.label_sets.joining import check_alike
from rlhf_core.label_sets.lines import Header, Line, check_line, header_of, lines_of

ENDINGS = (".jsonl", ".parquet")
LARGEST = 2 * 2**30
"""Bytes of a file that is read."""
NESTED = ("clips", "answer", "tied")
"""Columns of a Parquet file that hold JSON."""
METADATA = b"rlhf_labels"


def write(path: Path, batches: Sequence[LabelBatch]) -> int:
    """Write batches; returns the number of judgements. A file that is there is replaced at the end.

    Raises:
        ConfigurationError: the file's ending is not known, or a judgement has no line.
        StoreError: the file cannot be written.
    """
    ending = _ending(path)
    for batch in batches[1:]:
        check_alike(batches[0].evidence, batch.evidence)
    header = header_of(batches[0].evidence).model_dump(mode="json", exclude_defaults=True)
    header = {"rlhf_labels": 1, **header}
    for batch in batches[1:]:
        header.setdefault("worth", {}).update(header_of(batch.evidence).worth)
    lines = [
        line.model_dump(mode="json", exclude_none=True) for b in batches for line in lines_of(b)
    ]
    draft = path.with_name(f".{path.name}.draft")
    try:
        if ending == ".jsonl":
            texts = (json.dumps(entry, allow_nan=False) for entry in [header, *lines])
            draft.write_text("".join(f"{text}\n" for text in texts), encoding="utf-8")
        else:
            _write_parquet(draft, header, lines)
        draft.replace(path)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise StoreError(f"{path}: cannot be written: {error}") from error
    return len(lines)


def read(path: Path) -> list[LabelBatch]:
    """Read and check a whole file.

    Raises:
        ConfigurationError: it cannot be read, or a line is not as expected; the message names it.
    """
    header, lines = read_lines(path)
    try:
        return batches_of(header, [line for _, line in lines])
    except ConfigurationError as error:
        raise ConfigurationError(f"{path}: {error}") from None


def read_lines(path: Path) -> tuple[Header, list[tuple[str, Line]]]:
    """Read and check a whole file: its header, and its lines, each with its place for messages.

    Raises:
        ConfigurationError: it cannot be read, or a line is not as expected; the message names it.
    """
    entries = _jsonl(path) if _ending(path) == ".jsonl" else _parquet(path)
    where, content = next(entries, (str(path), None))
    if not isinstance(content, dict):
        raise ConfigurationError(f"{where}: expected a header with 'rlhf_labels', actual: none")
    header = validated(Header, content, where)
    lines = []
    for where, content in entries:
        if not isinstance(content, dict):
            raise ConfigurationError(
                f"{where}: expected an object, actual: {type(content).__name__}"
            )
        line = validated(Line, content, where)
        check_line(line, header, where)
        lines.append((where, line))
    if not lines:
        raise ConfigurationError(f"{path}: expected judgements after the header, actual: none")
    return header, lines


def _ending(path: Path) -> str:
    if path.suffix not in ENDINGS:
        raise ConfigurationError(
            f"{path}: expected a file that ends in {' or '.join(ENDINGS)}, actual: '{path.suffix}'"
        )
    return path.suffix


def _jsonl(path: Path) -> Iterator[tuple[str, Any]]:
    try:
        text = read_regular(path, LARGEST).decode("utf-8")
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{path}: expected UTF-8, actual: {error}") from None
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        where = f"{path} line {number}"
        try:
            yield where, json.loads(line)
        except (ValueError, RecursionError) as error:
            raise ConfigurationError(f"{where}: expected JSON, actual: {error}") from None


def _arrow() -> tuple[Any, Any]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise ConfigurationError(
            f"Parquet: expected pyarrow to be installed, actual: {error}; use a .jsonl file"
        ) from None
    return pyarrow, pyarrow.parquet


def _write_parquet(path: Path, header: dict[str, Any], lines: Sequence[dict[str, Any]]) -> None:
    arrow, parquet = _arrow()
    rows = [
        {name: json.dumps(v) if name in NESTED else v for name, v in line.items()} for line in lines
    ]
    names = list(dict.fromkeys(name for row in rows for name in row))
    table = arrow.table({name: [row.get(name) for row in rows] for name in names})
    parquet.write_table(table.replace_schema_metadata({METADATA: json.dumps(header)}), path)


def _parquet(path: Path) -> Iterator[tuple[str, Any]]:
    arrow, parquet = _arrow()
    content = read_regular(path, LARGEST)
    try:
        table = parquet.read_table(arrow.BufferReader(content))
        yield f"{path} metadata", json.loads((table.schema.metadata or {}).get(METADATA, b"null"))
    except (arrow.ArrowException, ValueError) as error:
        raise ConfigurationError(
            f"{path}: expected a Parquet file of labels, actual: {error}"
        ) from None
    for number, row in enumerate(table.to_pylist(), start=1):
        where = f"{path} row {number}"
        entry = {name: value for name, value in row.items() if value is not None}
        for name in NESTED:
            if name in entry:
                try:
                    entry[name] = json.loads(entry[name])
                except (TypeError, ValueError) as error:
                    raise ConfigurationError(
                        f"{where}: {name}: expected JSON, actual: {error}"
                    ) from None
        yield where, entry
