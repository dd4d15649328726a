"""Reading an experiment from YAML, and saying what is wrong with it."""

import re
from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from rlhf_core.errors import ConfigurationError
from rlhf_core.experiment import NAME, Experiment
from rlhf_core.files import read_regular
from rlhf_core.texts import shortened, shortened_repr
from rlhf_core.yaml_text import parse

EXPECTED = {
    "missing": "expected a value, actual: none",
    "dict_type": "expected a mapping",
    "model_type": "expected a mapping",
    "model_attributes_type": "expected a mapping",
    "too_short": "expected a length of at least {min_length}",
    "too_long": "expected a length of at most {max_length}",
    "string_too_long": "expected at most {max_length} characters",
    "string_pattern_mismatch": "expected {pattern}",
}
"""What pydantic does not say as field, what was expected, what came."""
Checked = TypeVar("Checked", bound=BaseModel)
LARGEST = 1_000_000
"""Bytes of a file that describes an experiment; a preset has 2,000."""
PROBLEMS = 10
"""Problems of one experiment that a message tells."""
PATTERNS = {
    NAME: "a letter or digit, then letters, digits, dots, dashes and underscores",
}
"""Regular expressions in words."""


def read(path: Path, source: str, expected: str) -> dict[str, Any]:
    """The content of a YAML file that holds a mapping.

    Args:
        path: the file.
        source: what messages call the file.
        expected: the fields that it should have, for the message.

    Raises:
        ConfigurationError: it cannot be read, is no YAML, or holds something else.
    """
    try:
        text = read_regular(path, LARGEST).decode()
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{path}: cannot be read: {error}") from error
    data = parse(text, source)
    if not isinstance(data, dict):
        raise ConfigurationError(
            f"{source}: expected a mapping with {expected}, actual: {type(data).__name__}"
        )
    return data


def validated(model: type[Checked], data: Mapping[str, Any], source: str) -> Checked:
    """A mapping as a configuration. Raises `ConfigurationError`, which names every field."""
    try:
        return model.model_validate(dict(data))
    except ValidationError as error:
        raise ConfigurationError(f"{source}: {_explain(error, data)}") from None


def load(path: Path, overrides: Iterable[str] = (), source: str | None = None) -> Experiment:
    """Read an experiment from a YAML file.

    Args:
        path: the file.
        overrides: `field.field=value` texts, the value in YAML, applied in order.
        source: what messages call the file; its path if None.

    Raises:
        ConfigurationError: names the field, what was expected and what came.
    """
    source = source or str(path)
    changes = [read(path, source, "'name', 'environment', ...")]
    names = [source]
    for text in overrides:
        field, equals, value = text.partition("=")
        if not equals or not field:
            raise ConfigurationError(
                f"--set: expected field.field=value, actual: '{shortened(text)}'"
            )
        changes.append(deepcopy(changes[-1]))
        names.append(f"--set {shortened(text)}")
        _set(changes[-1], field, parse(value, names[-1]), names[-1])
    try:
        return from_mapping(changes[-1], source)
    except ConfigurationError:
        culprit = _first_invalid(changes)
        if culprit:
            from_mapping(changes[culprit], names[culprit])  # Raises, and names what broke it.
        # Or it does not: the module of an earlier id may have registered the environment since.
        raise


def _first_invalid(changed: Sequence[Mapping[str, Any]]) -> int:
    """Return after how many changes an experiment was no longer valid, 0 where it never was.

    Args:
        changed: the experiment as it was read and after each change; the last one is not valid.
    """
    for index in reversed(range(len(changed) - 1)):
        try:
            from_mapping(changed[index])
        except ConfigurationError:
            continue
        return index + 1
    return 0


def override(experiment: Experiment, changes: Mapping[str, Any]) -> Experiment:
    """The same experiment with some fields changed, validated and checked as from a file.

    Fields that the experiment was not given take the defaults of what is chosen now, as if the
    lines of its file were changed: `override(experiment, {"feedback.kind": "inverse_rl"})`.

    Args:
        experiment: as it was written; it is left as it is.
        changes: values by the path of the field, such as `feedback.reward_model.members`.

    Raises:
        ConfigurationError: names the field, what was expected and what came.
    """
    data = _as_written(experiment)
    for field, value in changes.items():
        _set(data, field, value, f"override {field}")
    return from_mapping(data, "override")


def changed(data: Mapping[str, Any], changes: Mapping[str, Any], source: str) -> Experiment:
    """An experiment as it is written in a file, with some fields changed, validated and checked.

    Args:
        data: the content of the file; it is left as it is.
        changes: values by the path of the field, such as `feedback.reward_model.members`.
        source: what messages call the file.

    Raises:
        ConfigurationError: names the field, what was expected and what came.
    """
    return from_mapping(with_changes(data, changes, source), source)


def with_changes(
    data: Mapping[str, Any], changes: Mapping[str, Any], source: str
) -> dict[str, Any]:
    """A copy of a mapping with some fields changed, as for `changed`, not validated."""
    whole = deepcopy(dict(data))
    for field, value in changes.items():
        _set(whole, field, deepcopy(value), source)
    return whole


def _as_written(model: BaseModel) -> dict[str, Any]:
    """The fields that a model was given, and the kind of each plug-in among them."""
    data: dict[str, Any] = {}
    for name in type(model).model_fields:
        value = getattr(model, name)
        if name not in model.model_fields_set and name != "kind":
            continue
        if isinstance(value, BaseModel):
            data[name] = _as_written(value)
        else:
            data[name] = model.model_dump(mode="json", include={name})[name]
    return data


def from_mapping(data: Mapping[str, Any], source: str = "experiment") -> Experiment:
    """Validate a mapping; its environment is made once to see that it exists and fits.

    Fields set aside because another kind of the family owns them are announced as
    `UnusedFieldWarning`.
    """
    experiment = validated(Experiment, data, source)
    try:
        experiment.check()
    except ConfigurationError as error:
        raise type(error)(f"{source}: {error}") from error.__cause__
    return experiment


def to_yaml(experiment: Experiment) -> str:
    """The experiment with every field written out."""
    return yaml.safe_dump(experiment.model_dump(mode="json"), sort_keys=False)


def _set(data: dict[str, Any], field: str, value: Any, source: str) -> None:
    """Put a value at the path of a field, making the mappings on the way."""
    *parents, last = field.split(".")
    place = data
    for name in parents:
        inner = place.setdefault(name, {})
        if isinstance(inner, str):
            # The short forms: an environment is its id, a plug-in its kind.
            inner = place[name] = {"id" if name == "environment" else "kind": inner}
        if not isinstance(inner, dict):
            raise ConfigurationError(
                f"{source}: '{name}' holds {shortened_repr(inner)}, not fields"
            )
        place = inner
    place[last] = value


def _explain(error: ValidationError, data: Mapping[str, Any]) -> str:
    """All problems in one line: field, what was expected, what came."""
    problems: dict[tuple[str, str], list[str]] = {}
    errors = error.errors(include_url=False)
    for problem in errors:
        # Items that are wrong themselves do not count, and would be missed a second time.
        inner = (other["loc"][: len(problem["loc"])] for other in errors if other is not problem)
        if problem["type"] == "too_short" and problem["loc"] in inner:
            continue
        missing = problem["type"] == "missing"
        field = ".".join(_path(problem["loc"], data, missing))
        text = problem["msg"].removeprefix("Value error, ").replace("Input should be", "expected")
        if problem["type"] in EXPECTED:
            context = problem.get("ctx", {})
            text = EXPECTED[problem["type"]].format(
                **{**context, "pattern": PATTERNS.get(context.get("pattern", ""), "")}
            )
        whole = problem["type"] in ("unknown_field", "unknown_kind", "value_error")
        came = "" if whole or missing else f", actual: {shortened_repr(problem['input'])}"
        # A model that speaks of one of its own fields names it first.
        own = re.match(r"[a-z_]+: ", text) is not None and problem["type"] == "value_error"
        colon = "." if own else ": "
        start = f"{field}{colon}" if field else ""
        problems.setdefault((start, came), []).append(text)
    # Of a value that may be this or that, all that it might have been.
    several = [
        start
        + " or ".join([texts[0], *(text.removeprefix("expected ") for text in texts[1:])])
        + came
        for (start, came), texts in problems.items()
    ]
    more = f"; and {len(several) - PROBLEMS} more" if len(several) > PROBLEMS else ""
    return "; ".join(several[:PROBLEMS]) + more


def _path(location: tuple[int | str, ...], data: Any, missing: bool) -> list[str]:
    """The fields of a pydantic location, without the kinds of the unions passed on the way.

    `missing` says that the last part is a field or an item that ought to be there.
    """
    names = []
    for index, part in enumerate(location):
        wanted = missing and index == len(location) - 1
        if isinstance(data, Mapping):
            # Another key that is not there is a union's kind.
            if part not in data and not wanted:
                continue
            data = data.get(part)
        elif isinstance(data, list) and isinstance(part, int) and (part < len(data) or wanted):
            data = data[part] if part < len(data) else None
        else:
            # Inside a value that is no collection: which of several types was tried.
            continue
        names.append(str(part))
    return names
