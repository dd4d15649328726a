"""Everything that a YAML file can name."""

import json
from inspect import isclass
from typing import Any

from rich.console import Console
from rich.markup import escape

from flows.command import presets
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


def describe(family: str | None = None) -> dict[str, Any]:
    """Presets, experiment fields and plug-ins; or one family of plug-ins alone."""
    if family is not None and family not in FAMILIES:
        raise ConfigurationError(f"unknown family '{family}'; {nearest(family, list(FAMILIES))}")
    content: dict[str, Any] = {}
    if family is None:
        content["presets"] = presets.names()
        content["experiment"] = _fields(Experiment)
    content["plugins"] = {
        name: {
            kind: {"meaning": _line(plugin.__doc__), "fields": _fields(plugin)}
            for kind, plugin in FAMILIES[name].kinds().items()
        }
        for name in ([family] if family else FAMILIES)
    }
    return content


def show(content: dict[str, Any]) -> None:
    """Print what `describe` gave; lines are never cut."""
    console = Console(soft_wrap=True, highlight=False)
    if "presets" in content:
        console.print(f"presets: {', '.join(content['presets'])}\n")
        console.print("[bold]experiment[/]")
        _show_fields(console, content["experiment"])
    for family, kinds in content["plugins"].items():
        described: dict[str, Any] = {}
        for kind, plugin in kinds.items():
            console.print(f"[bold]{family}[/]: kind [bold cyan]{kind}[/]")
            console.print(f"  {plugin['meaning']}", markup=False)
            twin = next((k for k, fields in described.items() if fields == plugin["fields"]), None)
            if twin is not None and plugin["fields"]:
                console.print(f"  fields as of kind {twin}\n")
            else:
                _show_fields(console, plugin["fields"])
            described[kind] = plugin["fields"]


def _show_fields(console: Console, fields: dict[str, Any]) -> None:
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
