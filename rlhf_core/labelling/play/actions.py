"""Which actions a person can choose while playing, and by which keys."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from gymnasium import spaces

from rlhf_core.errors import UnsupportedSpaceError

ARROWS = {2: ("ArrowLeft", "ArrowRight"), 3: ("ArrowLeft", "ArrowDown", "ArrowRight")}
MOST = 9
"""Actions that have a key each."""


@dataclass(frozen=True)
class PlayAction:
    """One action that can be chosen."""

    label: str
    key: str
    """As browsers name it (`KeyboardEvent.key`)."""
    value: Any
    """What the environment's `step` is given."""


@dataclass(frozen=True)
class PlayActions:
    """The actions of an environment."""

    actions: tuple[PlayAction, ...]
    idle: int
    """Position of the action that is taken while no key is held."""


def play_actions(space: spaces.Space[Any]) -> PlayActions:
    """The actions of a discrete space, or the ends and the middle of a one-dimensional one.

    Raises:
        UnsupportedSpaceError: of any other space, or of more than nine actions.
    """
    if isinstance(space, spaces.Discrete) and space.n <= MOST:
        count = int(space.n)
        keys = ARROWS.get(count) or tuple(str(number + 1) for number in range(count))
        values = [int(space.start) + number for number in range(count)]
        actions = [PlayAction(f"Action {v}", k, v) for v, k in zip(values, keys, strict=True)]
        return PlayActions(tuple(actions), count // 2 if count == 3 else 0)
    if isinstance(space, spaces.Box) and int(np.prod(space.shape)) == 1:
        low, high = float(space.low.ravel()[0]), float(space.high.ravel()[0])
        middle = (low + high) / 2
        actions = [
            PlayAction(f"{value:g}", key, np.full(space.shape, value, dtype=space.dtype))
            for value, key in zip((low, middle, high), ARROWS[3], strict=True)
        ]
        return PlayActions(tuple(actions), 1)
    raise UnsupportedSpaceError(
        f"a person can play environments with 1 to {MOST} discrete actions or with one number as "
        f"action, actual: {space}"
    )
