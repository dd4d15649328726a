"""What the users of a dialogue do, as its environment shows it."""

from collections.abc import Mapping
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Int

REPEATED = "repeated"
"""The sign that the system asks for what has been said."""


class SignColumns(NamedTuple):
    """Where signs stand in observations and actions."""

    acts: Mapping[str, int]
    """By name, the number of the next observation that is 1 where the user did it."""
    over: Int[np.ndarray, " E"]
    """Numbers of the observation of which one is 1 once the dialogue is over."""
    known: Int[np.ndarray, " actions"]
    """By action, the number of the observation that is 1 where what it asks for has been said; -1:
    it asks for nothing."""


@runtime_checkable
class ShowsSigns(Protocol):
    """An environment with discrete actions, of whose users is observed what they do."""

    def sign_columns(self) -> SignColumns:
        """Where the signs stand."""
        ...
