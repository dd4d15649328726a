"""Reinforcement learning from human feedback for control and decision tasks.

The package is the library: data types, rewards, queries, annotators, optimisers and the
five-line path in `rlhf_core.agents`. It knows neither Prefect nor MLflow, and importing it
loads none of the heavy packages; import the module that you need. `rlhf_core.compare` compares runs
that stand in a data frame.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rlhf_core.comparison import compare as compare

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """Import `compare` where it is first used."""
    if name != "compare":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from rlhf_core.comparison import compare

    return compare
