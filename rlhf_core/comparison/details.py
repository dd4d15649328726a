"""Links, films, settings and notes of a report."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True)
class Details:
    """Where a comparison comes from; everything is optional."""

    links: Mapping[str, str] = field(default_factory=dict)
    """Addresses by their text; only `http`, `https` and relative ones can be clicked on."""
    films: Mapping[str, bytes] = field(default_factory=dict)
    """Film of the final policy as GIF, by cell."""
    settings: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    """Flattened configuration by cell; the report shows the fields that differ."""
    versions: Mapping[str, str] = field(default_factory=dict)
    """Versions of code and libraries, by name."""
    definition: str = ""
    """The file that defines the comparison, in YAML."""
    made: datetime | None = None
    """When the report was made."""
    notes: tuple[str, ...] | list[str] = ()
    """Sentences that stand under the answer."""


def differing_settings(settings: Mapping[str, Mapping[str, object]]) -> dict[str, dict[str, str]]:
    """Values by cell of each field that is not the same in all cells, by the field's name.

    A cell that lacks a field has an empty text there.
    """
    fields = sorted({name for of_cell in settings.values() for name in of_cell})
    table = {
        name: {cell: _text(of_cell, name) for cell, of_cell in settings.items()} for name in fields
    }
    return {name: values for name, values in table.items() if len(set(values.values())) > 1}


def _text(settings: Mapping[str, object], name: str) -> str:
    return str(settings[name]) if name in settings else ""
