"""Observations brought to mean 0 and deviation 1 by all that a search has seen."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

WIDEST = 10.0
"""Standard deviations at which an input is cut off."""


@dataclass(frozen=True)
class Normaliser:
    """z = clip((x - mean) / deviation, -10, 10), unchanged before anything was seen."""

    mean: Float[np.ndarray, " F"]
    square: Float[np.ndarray, " F"]
    """Sum of squared distances from the mean."""
    seen: float = 0.0

    @staticmethod
    def fresh(features: int) -> "Normaliser":
        """Nothing seen yet."""
        return Normaliser(np.zeros(features), np.zeros(features))

    def observed(self, features: Float[np.ndarray, "B F"]) -> "Normaliser":
        """With a batch taken in."""
        batch = features.astype(np.float64)
        mean = batch.mean(axis=0)
        square = np.square(batch - mean).sum(axis=0)
        return self.joined(Normaliser(mean, square, len(features)))

    def joined(self, other: "Normaliser") -> "Normaliser":
        """With all that another one has seen (Chan et al. 1983, doi:10.2307/2683386)."""
        total, shift = self.seen + other.seen, other.mean - self.mean
        return Normaliser(
            self.mean + shift * other.seen / total,
            self.square + other.square + np.square(shift) * self.seen * other.seen / total,
            total,
        )

    def __call__(self, features: Float[np.ndarray, "B F"]) -> Float[np.ndarray, "B F"]:
        """Normalised features; a number that never varied is only shifted."""
        if not self.seen:
            return features
        mean, scale = self._scale
        normal: np.ndarray = np.clip((features - mean) * scale, -WIDEST, WIDEST)
        return normal

    @property
    def _scale(self) -> tuple[np.ndarray, np.ndarray]:
        deviation = np.sqrt(self.square / self.seen)
        scale = 1 / np.where(deviation < 1e-3, 1.0, deviation)
        return self.mean.astype(np.float32), scale.astype(np.float32)

    def memory(self) -> dict[str, np.ndarray]:
        """As arrays, for the store."""
        return {
            "observation_mean": self.mean,
            "observation_square": self.square,
            "observation_count": np.array(self.seen),
        }

    @staticmethod
    def restored(memory: Mapping[str, np.ndarray]) -> "Normaliser":
        """From the arrays again."""
        return Normaliser(
            memory["observation_mean"],
            memory["observation_square"],
            float(memory["observation_count"]),
        )
