"""How a simulated crowd judges and how it is asked."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float


class CrowdSettings(NamedTuple):
    """Fields of the annotator `Crowd`, where their meaning is documented."""

    beta: float
    position_bias: float
    half_life: float | None
    seconds: float
    seconds_std: float
    redundancy: int
    """Judgements of each query; with `adaptive` their largest number."""
    adaptive: bool
    confidence: float
    threshold: float
    dismissal: float
    gold: float
    price: float
    expert_price: float
    rating_levels: int | None
    rating_noise: float
    delay_steps: tuple[int, int]

    def draw_seconds(self, count: int, rng: np.random.Generator) -> Float[np.ndarray, " R"]:
        """Draw the seconds of so many judgements from a log-normal distribution."""
        return self.seconds * np.exp(self.seconds_std * rng.normal(size=count))

    def costs(self, expert: int, workers: int) -> Float[np.ndarray, " R"]:
        """Price of each of so many judgements of the expert, and then of workers."""
        return np.repeat([self.expert_price, self.price], [expert, workers])
