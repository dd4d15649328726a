"""sb3-contrib's update of augmented random search, told how fit its candidates are."""

from typing import Any

import numpy as np
import torch
from sb3_contrib import ARS
from stable_baselines3.common.logger import Logger
from torch import Tensor

from rlhf_core.evolution.search import Search
from rlhf_core.seeding import integer, isolated


class Contributed(Search):
    """A model that is asked twice by the same draws: for its candidates, then for its step."""

    def __init__(
        self, mean: np.ndarray, directions: int, best: int, rate: float, deviation: float
    ) -> None:
        self.mean = np.array(mean, dtype=np.float64)
        self._deviation = deviation
        self._model: Any = _Told(self.mean, directions, best, rate, deviation)
        self._seed = 0

    def ask(self, rng: np.random.Generator) -> np.ndarray:
        """Its candidates; where all are equally fit, it stays where it is."""
        self._seed = integer(rng)
        self._update(torch.zeros(self._model.pop_size))
        asked: np.ndarray = self._model.candidates.numpy()
        return asked

    def tell(self, fitness: np.ndarray) -> None:
        """Its step."""
        self._update(torch.from_numpy(np.asarray(fitness, dtype=np.float32)))
        self.mean = self._model.weights.double().numpy()

    def _update(self, fitness: Tensor) -> None:
        self._model.weights = torch.from_numpy(self.mean.copy())
        self._model.fitness = fitness
        nobody: Any = None
        with isolated(self._seed):
            self._model._do_one_update(nobody, None)

    def memory(self) -> dict[str, np.ndarray]:
        """Nothing."""
        return {}

    def deviation(self) -> float:
        """As given."""
        return self._deviation


class _Told(ARS):
    """ARS without environments: somebody else plays its candidates."""

    def __init__(
        self, mean: np.ndarray, directions: int, best: int, rate: float, deviation: float
    ) -> None:
        nothing: Any = None
        super().__init__(
            "LinearPolicy", nothing, n_delta=directions, n_top=best, learning_rate=rate,
            delta_std=deviation, _init_setup_model=False,
        )  # fmt: skip
        self._setup_lr_schedule()
        self.set_logger(Logger(folder=None, output_formats=[]))
        self.n_params = len(mean)
        self.policy: Any = self
        self.fitness = self.candidates = torch.zeros(0)

    def load_from_vector(self, vector: Tensor) -> None:
        """There is no policy to be loaded."""

    def evaluate_candidates(
        self, candidate_weights: Tensor, callback: Any, async_eval: Any
    ) -> Tensor:
        """What it was told."""
        self.candidates = candidate_weights
        return self.fitness
