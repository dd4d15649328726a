"""A reward that says nothing."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Shaped


@dataclass(frozen=True)
class ConstantReward:
    """The same number for every transition."""

    value: float

    def __call__(
        self,
        observation: Shaped[np.ndarray, "B *obs"],
        action: Shaped[np.ndarray, "B *act"],
        next_observation: Shaped[np.ndarray, "B *obs"],
        terminated: Bool[np.ndarray, " B"],
    ) -> Float[np.ndarray, " B"]:
        """`value`, B times."""
        return np.full(len(action), self.value, dtype=np.float32)
