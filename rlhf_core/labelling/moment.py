"""When in a run people are asked."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Moment:
    """When in a run people are asked."""

    round: int
    """From 0."""
    part: int
    """0, or 1 where the guard asks for more in the same round."""
