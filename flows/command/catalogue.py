"""Everything that a YAML file can name."""

import json
from collections.abc import Iterator, Mapping
from inspect import isclass
from typing import Any

from rich.console import Console
from rich.markup import escape

from flows.experiments import presets
from rlhf_core.aggregation import AGGREGATION
from rlhf_core.annotators import ANNOTATORS
from rlhf_core.errors import ConfigurationError
from rlhf_core.experiment import Experiment
from rlhf_core.feedback import FEEDBACK
from rlhf_core.feedback_forms import FORMS
from rlhf_core.optimisers import OPTIMISERS
from rlhf_core.plugin import Config, Family, Plugin, nearest
from rlhf_core.queries import QUERIES

FAMILIES: dict[str, Family[Any]] = {
    "feedback": FEEDBACK,
    "annotators": ANNOTATORS,
    "forms": FORMS,
    "queries": QUERIES,
    "aggregation": AGGREGATION,
    "optimisers": OPTIMISERS,
}
FIELDS = {
    "feedback": "feedback.kind",
    "annotators": "annotator.kind",
    "forms": "feedback.form.kind",
    "queries": "feedback.queries.kind",
    "aggregation": "feedback.aggregation.kind",
    "optimisers": "optimiser.kind",
}
"""The line of an experiment in which a kind of each family stands."""


def describe(name: str | None = None) -> dict[str, Any]:
    """Presets, the experiment's fields and plug-ins; or only what is called so.

    Args:
        name: a preset, `experiment`, a family of plug-ins, or the kind of one; None: everything.

    Raises:
        ConfigurationError: nothing is called so.
    """
    content: dict[str, Any] = {}
    if name in (None, *presets.names()):
        chosen = presets.names() if name is None else [name]
        content["presets"] = {preset: presets.description(preset) for preset in chosen}
    fields = _fields(Experiment)
    sections = {field.partition(".")[0] for field in fields}
    if name in (None, "experiment", *sections):
        content["experiment"] = {
            field: described
            for field, described in fields.items()
            if name in (None, "experiment", field.partition(".")[0])
        }
    plugins = {
        family: {
            kind: {"meaning": _line(plugin.__doc__), "fields": _fields(plugin)}
            for kind, plugin in members.kinds().items()
            if name in (None, family, kind)
        }
        for family, members in FAMILIES.items()
    }
    content["plugins"] = {family: kinds for family, kinds in plugins.items() if kinds}
    if not any(content.values()):
        kinds = [kind for members in FAMILIES.values() for kind in members.kinds()]
        valid = ["experiment", *sections, *FAMILIES, *presets.names(), *dict.fromkeys(kinds)]
        raise ConfigurationError(f"unknown name '{name}'; {nearest(str(name), valid)}")
    return content


def outline(content: Mapping[str, Any]) -> None:
    """Print one line for each name of what `describe` returned."""
    console = Console(soft_wrap=True, highlight=False)
    sections = {
        f"[bold]{family}[/]  {FIELDS[family]}": {k: v["meaning"] for k, v in kinds.items()}
        for family, kinds in content["plugins"].items()
    }
    if "presets" in content:
        console.print("[bold]presets[/]  rlhf show NAME prints one, rlhf train NAME runs it\n")
        meanings = content["presets"]
        groups = {
            f"[bold]{application}[/]": {name: meanings[name] for name in members}
            for application, members in presets.by_application().items()
        }
        sections = {**groups, **sections}
    for title, meanings in sections.items():
        console.print(title)
        width = max(map(len, meanings))
        for name, meaning in meanings.items():
            console.print(f"  [bold cyan]{name:<{width}}[/]  {escape(meaning)}")
        console.print()
    console.print("rlhf list NAME shows the fields of a kind, of a family, or of the experiment;")
    console.print("rlhf list --all shows everything.")


def show(content: Mapping[str, Any]) -> None:
    """Print what `describe` returned with all fields; lines are never cut."""
    console = Console(soft_wrap=True, highlight=False)
    for preset, meaning in content.get("presets", {}).items():
        console.print(f"preset [bold cyan]{preset}[/]: {escape(meaning)}")
        console.print(f"  its file: rlhf show {preset}")
    if "presets" in content:
        console.print()
    if "experiment" in content:
        console.print("[bold]experiment[/]")
        _show_fields(console, content["experiment"])
    for family, kinds in content["plugins"].items():
        shared = dict(_shared(family, list(kinds)))
        for users, fields in shared.items():
            console.print(f"[bold]{family}[/]: fields of {', '.join(users)}")
            common = kinds[users[0]]["fields"]
            _show_fields(console, {name: common[name] for name in common if _top(name) in fields})
        for kind, plugin in kinds.items():
            elsewhere = {
                name for users, fields in shared.items() if kind in users for name in fields
            }
            own = {n: field for n, field in plugin["fields"].items() if _top(n) not in elsewhere}
            console.print(f"[bold]{family}[/]: kind [bold cyan]{kind}[/]")
            console.print(f"  {plugin['meaning']}", markup=False)
            if elsewhere:
                console.print("  and the shared fields above")
            _show_fields(console, own)


def _shared(family: str, kinds: list[str]) -> Iterator[tuple[tuple[str, ...], set[str]]]:
    """Fields that several kinds inherit from one base class, by the kinds that do."""
    users: dict[tuple[type, str], list[str]] = {}
    for kind in kinds:
        plugin = FAMILIES[family].get(kind)
        for name in plugin.model_fields:
            bases = (
                base for base in plugin.__mro__ if name in vars(base).get("__annotations__", ())
            )
            if name != "kind":
                users.setdefault((next(bases), name), []).append(kind)
    groups: dict[tuple[str, ...], set[str]] = {}
    for (_, name), of in users.items():
        if len(of) > 1:
            groups.setdefault(tuple(of), set()).add(name)
    yield from groups.items()


def _top(name: str) -> str:
    return name.partition(".")[0]


def _show_fields(console: Console, fields: Mapping[str, Any]) -> None:
    for name, field in fields.items():
        default = "(required)" if field["required"] else json.dumps(field["default"])
        console.print(f"  {name}: [green]{escape(default)}[/]  {escape(field['meaning'])}")
    console.print()


def _fields(model: type[Config], prefix: str = "") -> dict[str, Any]:
    """Every field with its default and meaning, those of nested models as `outer.inner`."""
    fields_by_name: dict[str, Any] = {}
    for name, field in model.model_fields.items():
        default = field.get_default(call_default_factory=True)
        inner = field.annotation
        if name == "kind":
            continue
        if isclass(inner) and issubclass(inner, Config) and not issubclass(inner, Plugin):
            fields_by_name |= _fields(inner, f"{prefix}{name}.")
            continue
        if isinstance(default, Plugin):
            default = default.kind
        fields_by_name[prefix + name] = {
            "required": field.is_required(),
            "default": None if field.is_required() else default,
            "meaning": _line(field.description),
        }
    return fields_by_name


def _line(text: str | None) -> str:
    return " ".join((text or "").strip().partition("\n\n")[0].split())
