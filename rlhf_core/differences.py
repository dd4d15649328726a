"""What differs between two configurations, and short words for it."""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import BaseModel

from rlhf_core.plugin import Plugin
from rlhf_core.texts import shortened_repr

MOST_WORDS = 3
"""Differences that have a word each; of more, a digest stands for all."""
LONGEST_VALUE = 24
"""Characters of the longest value that is written out."""
DIGITS = 6
"""Characters of a digest."""

Difference = tuple[str, Any]
"""Path of a field and its value, in JSON's types."""


def differences(actual: BaseModel, base: BaseModel) -> list[Difference]:
    """Fields of a configuration that differ from those of another one.

    Where both hold plug-ins of different kinds, `kind` is one difference, and the other fields are
    compared with what choosing that kind alone would give: the value that the base states where the
    kind has such a field too, else the kind's default.

    Args:
        actual: the configuration.
        base: what it is compared with, of the same class or the same family of plug-ins.
    """
    return list(_differences(actual, base, ""))


def _differences(actual: BaseModel, base: BaseModel | None, prefix: str) -> Iterator[Difference]:
    for name, field in type(actual).model_fields.items():
        value, path = getattr(actual, name), f"{prefix}{name}"
        shared = base is not None and (type(base) is type(actual) or name == "kind")
        stated = base is not None and name in base.model_fields_set & set(type(base).model_fields)
        if shared or stated:
            expected = getattr(base, name)
        else:
            expected = None if field.is_required() else field.get_default(call_default_factory=True)
        if isinstance(value, BaseModel):
            comparable = isinstance(expected, type(value)) or (
                isinstance(expected, Plugin) and isinstance(value, Plugin)
            )
            yield from _differences(value, expected if comparable else None, f"{path}.")
        elif value != expected:
            yield path, actual.model_dump(mode="json", include={name})[name]


def flatten(content: Any, prefix: str = "") -> dict[str, Any]:
    """Nested fields as `a.b.c`, the form in which MLflow compares parameters."""
    if isinstance(content, Mapping) and content:
        flat: dict[str, Any] = {}
        for name, inner in content.items():
            flat |= flatten(inner, f"{prefix}.{name}" if prefix else str(name))
        return flat
    return {prefix: content}


def changes_between(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """What changed from one configuration to another, as messages say it."""
    then, now = flatten(before), flatten(after)
    return [
        f"{field} was {shortened_repr(then.get(field))}, now {shortened_repr(now.get(field))}"
        for field in sorted({*then, *now})
        if then.get(field) != now.get(field)
    ]


def words(changes: Sequence[Difference], model: BaseModel) -> list[str]:
    """A short word for each difference, such as `labels50`; never the same for different ones.

    Args:
        changes: differences, in an order that does not depend on their values.
        model: the configuration that they are of.
    """
    written_out = changes if len(changes) <= MOST_WORDS else changes[: MOST_WORDS - 1]
    paths = list(_paths(model, ""))
    short = [word(path, value, paths) for path, value in written_out]
    return short if len(written_out) == len(changes) else [*short, digest(dict(changes))]


def word(path: str, value: Any, paths: Sequence[str]) -> str:
    """A short word for a field's value: `labels50`, `method_airl`, `robust_on`; for a kind, it.

    The field is called by the shortest end of its path that no other field shares.

    Args:
        path: of the field.
        value: in JSON's types; a digest stands for one that is long or has strange characters.
        paths: of all fields from which it is to be distinguished, this one among them.
    """
    parts = path.split(".")
    if parts[-1] == "kind":
        return _text(value)
    ends = [".".join(parts[-count:]) for count in range(1, len(parts) + 1)]
    shared = (sum(f".{other}".endswith(f".{end}") for other in paths) > 1 for end in ends)
    end = next((end for end, many in zip(ends, shared, strict=True) if not many), path)
    between = "_" if isinstance(value, str) else ""
    return f"{end.replace('.', '_')}{between}{_text(value)}"


def _text(value: Any) -> str:
    match value:
        case None:
            return "_none"
        case bool():
            return "_on" if value else "_off"
        case list() | Mapping() if not value:
            return "_empty"
        case list():
            text = "x".join(map(str, value))
        case Mapping():
            text = "_".join(map(_entry, value.items()))
        case _:
            text = str(value)
    plain = re.fullmatch(r"[A-Za-z0-9._+-]+", text)
    return text if plain and len(text) <= LONGEST_VALUE else f"_{digest(value)}"


def _entry(entry: tuple[str, Any]) -> str:
    name, value = entry
    between = "_" if isinstance(value, str) else ""
    return _text(value) if name in ("kind", "id") else f"{name}{between}{_text(value)}"


def digest(content: Any) -> str:
    """Six characters that differ where contents (of JSON's types) do: of 1,000 contents any two
    have the same ones with a probability of 3 %.
    """
    text = json.dumps(content, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:DIGITS]


def _paths(model: BaseModel, prefix: str) -> Iterator[str]:
    """Paths of all fields that hold no fields themselves."""
    for name in type(model).model_fields:
        value = getattr(model, name)
        if isinstance(value, BaseModel):
            yield from _paths(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"
