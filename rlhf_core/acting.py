"""Policies as functions of observations, with or without a memory of the episode."""

from collections.abc import Callable
from typing import Protocol, runtime_checkable

import numpy as np

Act = Callable[[np.ndarray], np.ndarray]
"""A batch of observations (count, *obs) to a batch of actions (count, *act)."""


@runtime_checkable
class Remembering(Protocol):
    """An `Act` that remembers what it saw of each copy's episode. It begins with nothing."""

    def __call__(self, observations: np.ndarray) -> np.ndarray:
        """The actions; observations are those that follow the ones of the last call."""
        ...

    def forget(self, copies: np.ndarray) -> None:
        """New episodes begin in these copies (a mask)."""
        ...


def begin(act: Act, copies: np.ndarray) -> None:
    """Tell a policy that new episodes begin in these copies (a mask)."""
    if isinstance(act, Remembering):
        act.forget(copies)
