"""Running moments of observations, and the normalisation by them."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

LARGEST = 10.0
"""Bound of a normalised number, in standard deviations."""
SMALLEST_STD = 1e-3
"""A number whose standard deviation is smaller is only shifted."""


@dataclass(frozen=True)
class Normaliser:
    """z = clip((x - mean) / std, -10, 10), by the moments of all batches so far.

    Without any batch, z = x.
    """

    mean: Float[np.ndarray, " F"]
    square: Float[np.ndarray, " F"]
    """Sum of squared distances from the mean."""
    count: float = 0.0
    """Rows in all batches so far."""

    @staticmethod
    def fresh(features: int) -> "Normaliser":
        """Return the moments of no batch."""
        return Normaliser(np.zeros(features), np.zeros(features))

    def updated(self, features: Float[np.ndarray, "B F"]) -> "Normaliser":
        """Return the moments with one more batch."""
        batch = features.astype(np.float64)
        mean = batch.mean(axis=0)
        square = np.square(batch - mean).sum(axis=0)
        return self.merged(Normaliser(mean, square, len(features)))

    def merged(self, other: "Normaliser") -> "Normaliser":
        """Return the moments of both sets of batches (Chan et al. 1983, doi:10.2307/2683386).

        n       = n_1 + n_2
        mean    = mean_1 + (mean_2 - mean_1) n_2 / n
        square  = square_1 + square_2 + (mean_2 - mean_1)^2 n_1 n_2 / n
        """
        total, shift = self.count + other.count, other.mean - self.mean
        return Normaliser(
            self.mean + shift * other.count / total,
            self.square + other.square + np.square(shift) * self.count * other.count / total,
            total,
        )

    def __call__(self, features: Float[np.ndarray, "B F"]) -> Float[np.ndarray, "B F"]:
        """Return normalised features."""
        if not self.count:
            return features
        mean, scale = self._scale
        normal: np.ndarray = np.clip((features - mean) * scale, -LARGEST, LARGEST)
        return normal

    @property
    def _scale(self) -> tuple[np.ndarray, np.ndarray]:
        std = np.sqrt(self.square / self.count)
        scale = 1 / np.where(std < SMALLEST_STD, 1.0, std)
        return self.mean.astype(np.float32), scale.astype(np.float32)

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the moments by their names in a stored policy."""
        return {
            "observation_mean": self.mean,
            "observation_square": self.square,
            "observation_count": np.array(self.count),
        }

    @staticmethod
    def from_arrays(arrays: Mapping[str, np.ndarray]) -> "Normaliser":
        """Return the moments that `arrays` wrote."""
        return Normaliser(
            arrays["observation_mean"],
            arrays["observation_square"],
            float(arrays["observation_count"]),
        )
