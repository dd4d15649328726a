"""Statistics, tables, figures and the report of a comparison of runs.

`compare` takes data frames and needs no server. Importing the package loads nothing heavy.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rlhf_core.comparison.assemble import compare
    from rlhf_core.comparison.comparison import Comparison
    from rlhf_core.comparison.details import Details

__all__ = ["Comparison", "Details", "compare"]

_MODULES = {"Comparison": "comparison", "Details": "details", "compare": "assemble"}


def __getattr__(name: str) -> Any:
    """Import a public name where it is first used."""
    from importlib import import_module

    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
