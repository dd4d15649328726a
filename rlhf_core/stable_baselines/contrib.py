"""The check that the optional package sb3-contrib is installed."""

from importlib.util import find_spec

from rlhf_core.errors import ConfigurationError


def expect_contrib(kind: str) -> None:
    """Raise `ConfigurationError` unless sb3-contrib is installed."""
    if find_spec("sb3_contrib") is None:
        raise ConfigurationError(
            f"optimiser.kind: '{kind}' needs sb3-contrib, which is not installed; "
            "pip install 'rlhf-flows[contrib]'"
        )
