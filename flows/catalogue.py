"""Everything that a YAML file can name."""

from typing import Any

from rich.console import Console
from rich.table import Table

from flows import presets
from rlhf_core.aggregation import AGGREGATION
from rlhf_core.annotators import ANNOTATORS
from rlhf_core.errors import ConfigurationError
from rlhf_core.feedback import FEEDBACK
from rlhf_core.optimisers import OPTIMISERS
from rlhf_core.plugin import Config, Family, nearest
from rlhf_core.queries import QUERIES

FAMILIES: dict[str, Family[Any]] = {
    "feedback": FEEDBACK,
    "annotators": ANNOTATORS,
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
    content["plugins"] = {
        name: {
            kind: {"meaning": _meaning(plugin), "fields": _fields(plugin)}
            for kind, plugin in FAMILIES[name].kinds().items()
        }
        for name in ([family] if family else FAMILIES)
    }
    return content


def show(content: dict[str, Any]) -> None:
    """Print what `describe` gave."""
    console = Console()
    if "presets" in content:
        console.print(f"presets: {', '.join(content['presets'])}\n")
    for family, kinds in content["plugins"].items():
        for kind, plugin in kinds.items():
            console.print(f"[bold]{family}[/]: kind [bold cyan]{kind}[/]", highlight=False)
            console.print(f"  {plugin['meaning']}", highlight=False, markup=False)
            if plugin["fields"]:
                table = Table(box=None, padding=(0, 2), show_header=False)
                for name, field in plugin["fields"].items():
                    table.add_row(f"  {name}", str(field["default"]), field["meaning"])
                console.print(table, highlight=False)
            console.print()


def _fields(plugin: type[Config], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, field in plugin.model_fields.items():
        default = field.get_default(call_default_factory=True)
        if name == "kind":
            continue
        if isinstance(default, Config) and not hasattr(default, "kind"):
            found |= _fields(type(default), f"{prefix}{name}.")
            continue
        shown = default.model_dump(mode="json") if isinstance(default, Config) else default
        found[prefix + name] = {"default": shown, "meaning": _line(field.description)}
    return found


def _meaning(plugin: type[Config]) -> str:
    return _line(plugin.__doc__)


def _line(text: str | None) -> str:
    return " ".join((text or "").strip().partition("\n\n")[0].split())
