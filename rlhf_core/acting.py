"""Policies as functions of observations, with or without a recurrent state."""

from collections.abc import Callable
from typing import Protocol, runtime_checkable

import numpy as np

Act = Callable[[np.ndarray], np.ndarray]
"""Computes actions (count, *act) from a batch of observations (count, *obs)."""


@runtime_checkable
class RecurrentPolicy(Protocol):
    """An `Act` with a recurrent state for each copy of the environment, empty at the start."""

    def __call__(self, observations: np.ndarray) -> np.ndarray:
        """Return actions; the observations follow those of the last call."""
        ...

    def reset(self, copies: np.ndarray) -> None:
        """Empty the recurrent state of these copies (a mask), whose episodes start anew."""
        ...


def reset(act: Act, copies: np.ndarray) -> None:
    """Reset a recurrent policy in these copies (a mask); leave any other policy as it is."""
    if isinstance(act, RecurrentPolicy):
        act.reset(copies)
