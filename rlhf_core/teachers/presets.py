"""The teachers of B-Pref by name, and the fields that make them."""

from typing import Any

PRESETS: dict[str, dict[str, Any]] = {
    "oracle": {},
    "stochastic": {"rationality": 1.0},
    "mistake": {"mistake": 0.1},
    "skip": {"skip_threshold": 0.1},
    "equal": {"equal_threshold": 0.1},
    "myopic": {"discount": 0.9},
}
