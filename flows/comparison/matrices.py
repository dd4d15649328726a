"""The matrix of a comparison, from a file and the options of the command."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flows.experiments import presets
from rlhf_core.configuration import read, validated
from rlhf_core.errors import ConfigurationError
from rlhf_core.matrix import Matrix
from rlhf_core.texts import shortened
from rlhf_core.yaml_text import parse

BETWEEN = r",(?![^\[{]*[\]}])"
"""A comma that stands outside of brackets."""


@dataclass(frozen=True)
class Options:
    """What the command was given beside the file, as it was typed."""

    vary: Sequence[str] = ()
    exclude: Sequence[str] = ()
    seeds: str | None = None
    overrides: Sequence[str] = ()
    control: str | None = None
    failure_below: float | None = None
    name: str | None = None


def of(file_or_preset: str, options: Options) -> Matrix:
    """The matrix of a comparison's file, or of an experiment that is varied by the options alone.

    Raises:
        ConfigurationError: names the field or option, what was expected and what came.
    """
    path, source = presets.find(file_or_preset), presets.source(file_or_preset)
    data = read(path, source, "'name', 'experiment', 'vary', ... or 'name', 'environment', ...")
    if "environment" in data:
        data = {"name": f"{data.get('name', path.stem)}-compared", "experiment": file_or_preset}
    elif not {*data} & {*Matrix.model_fields} - {"name", "control"}:
        raise ConfigurationError(
            f"{source}: expected a comparison with 'experiment', or an experiment with "
            f"'environment', actual: {', '.join(map(repr, map(shortened, map(str, data))))}"
        )
    data = {**data, **_changes(data, options)}
    if isinstance(data.get("experiment"), (str, list)):
        data["experiment"] = _located(data["experiment"], path.parent)
    return validated(Matrix, data, source)


def _located(experiment: Any, folder: Path) -> Any:
    """Files of experiments that lie beside that of the comparison."""
    if isinstance(experiment, list):
        return [_located(item, folder) for item in experiment]
    beside = folder / str(experiment)
    here = not isinstance(experiment, str) or Path(experiment).exists()
    return str(beside) if not here and beside.is_file() else experiment


def _changes(data: dict[str, Any], options: Options) -> dict[str, Any]:
    """Fields of the matrix that the options set or add to."""
    changes: dict[str, Any] = {}
    if options.vary:
        pairs = [_varied(text) for text in options.vary]
        varied = dict(pairs)
        if len(varied) < len(pairs):
            twice = sorted({field for field, _ in pairs if [f for f, _ in pairs].count(field) > 1})
            raise ConfigurationError(f"--vary: expected each field once, actual: {twice} twice")
        changes["vary"] = {**_mapping(data, "vary"), **varied}
    if options.exclude:
        rules = [_rule(text) for text in options.exclude]
        changes["exclude"] = [*(data.get("exclude") or ()), *rules]
    if options.overrides:
        fixed = dict(pair("--set", text, text) for text in options.overrides)
        changes["set"] = {**_mapping(data, "set"), **fixed}
    if options.seeds is not None:
        changes["seeds"] = _seeds(options.seeds)
    plain = {"control": options.control, "failure_below": options.failure_below,
             "name": options.name}  # fmt: skip
    return changes | {field: value for field, value in plain.items() if value is not None}


def _mapping(data: dict[str, Any], field: str) -> dict[str, Any]:
    """A field of the file; one that is no mapping is left for the validation to name."""
    value = data.get(field)
    return value if isinstance(value, dict) else {}


def _varied(text: str) -> tuple[str, list[Any]]:
    field, _, values = text.partition("=")
    field, listed = pair("--vary", f"{field}=[{values}]", text)
    if not listed:
        raise ConfigurationError(
            f"--vary {shortened(text)}: expected at least one value, actual: none"
        )
    return field, listed


def _rule(text: str) -> dict[str, Any]:
    return dict(pair("--exclude", part, text) for part in re.split(BETWEEN, text))


def pair(option: str, part: str, text: str) -> tuple[str, Any]:
    """A field and its value in YAML."""
    field, equals, value = part.partition("=")
    if not equals or not field or "=" not in text:
        form = "field.field=value,value" if option == "--vary" else "field.field=value"
        raise ConfigurationError(f"{option}: expected {form}, actual: '{shortened(text)}'")
    return field, parse(value, f"{option} {shortened(text)}")


def _seeds(text: str) -> int | list[int]:
    try:
        numbers = [int(part) for part in text.rstrip(",").split(",")]
    except ValueError:
        raise ConfigurationError(
            f"--seeds: expected a number of seeds, or seeds with commas between, actual: "
            f"'{shortened(text)}'"
        ) from None
    return numbers if "," in text else numbers[0]
