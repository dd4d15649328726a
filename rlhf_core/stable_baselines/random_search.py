"""sb3-contrib's update of augmented random search, with fitness computed elsewhere."""

from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from sb3_contrib import ARS
from stable_baselines3.common.logger import Logger
from torch import Tensor

from rlhf_core.seeding import isolated


def candidates(
    model: "UnplayedARS", mean: Float[np.ndarray, " D"], seed: int
) -> Float[np.ndarray, "P D"]:
    """Return the candidates that the model draws from torch's generator after this seed."""
    model.update(mean, torch.zeros(model.pop_size), seed)
    drawn: np.ndarray = model.candidates.numpy()
    return drawn


def updated_mean(
    model: "UnplayedARS",
    mean: Float[np.ndarray, " D"],
    seed: int,
    fitness: Float[np.ndarray, " P"],
) -> Float[np.ndarray, " D"]:
    """Return the mean after the model's step, for the candidates of the same seed."""
    weights = model.update(mean, torch.from_numpy(np.asarray(fitness, dtype=np.float32)), seed)
    after: np.ndarray = weights.double().numpy()
    return after


class UnplayedARS(ARS):
    """ARS without environments: it receives the fitness of its candidates.

    One update draws candidates, evaluates them and takes a step, so it is run twice with the same
    seed: once for the candidates, and once for the step.
    """

    def __init__(
        self, size: int, directions: int, best: int, learning_rate: float, std: float
    ) -> None:
        """Make a model.

        Args:
            size: D, parameters of the policy.
            directions: pairs of candidates.
            best: directions that are used.
            learning_rate: step size.
            std: standard deviation of the noise.
        """
        unused: Any = None
        super().__init__(
            "LinearPolicy", unused, n_delta=directions, n_top=best, learning_rate=learning_rate,
            delta_std=std, _init_setup_model=False,
        )  # fmt: skip
        self._setup_lr_schedule()
        self.set_logger(Logger(folder=None, output_formats=[]))
        self.n_params = size
        self.policy: Any = self
        self.fitness = self.candidates = torch.zeros(0)

    def update(self, mean: np.ndarray, fitness: Tensor, seed: int) -> Tensor:
        """Run one update and return the new parameters."""
        self.weights: Any = torch.from_numpy(mean.copy())
        self.fitness = fitness
        unused: Any = None
        with isolated(seed):
            self._do_one_update(unused, None)
        updated: Tensor = self.weights
        return updated

    def load_from_vector(self, vector: Tensor) -> None:
        """Do nothing: there is no policy to load parameters into."""

    def evaluate_candidates(
        self, candidate_weights: Tensor, callback: Any, async_eval: Any
    ) -> Tensor:
        """Keep the candidates and return their fitness."""
        self.candidates = candidate_weights
        return self.fitness
