"""Observations brought to mean 0 and deviation 1 in front of a policy, by running statistics."""

import numpy as np
import torch
from gymnasium import spaces
from jaxtyping import Float, Shaped
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from torch import Tensor

WIDEST = 10.0
"""Standard deviations at which an input is cut off."""


class Normalised(BaseFeaturesExtractor):
    """z = clip((x - mean) / deviation, -10, 10), with moments of all observations learned from.

    A number that never varied is only shifted: it must not explode when it first does. The moments
    are buffers, so they are saved and restored with the weights. They are untouched while a rollout
    is collected and learned from, which keeps its probability ratios exact.
    """

    mean: Tensor
    square: Tensor
    seen: Tensor

    def __init__(self, observation_space: spaces.Box | spaces.MultiBinary) -> None:
        size = int(np.prod(observation_space.shape))
        super().__init__(observation_space, size)
        self.register_buffer("mean", torch.zeros(size, dtype=torch.float64))
        self.register_buffer("square", torch.zeros(size, dtype=torch.float64))
        self.register_buffer("seen", torch.zeros((), dtype=torch.float64))

    def observe(self, observations: Shaped[Tensor, "B ..."]) -> None:
        """Take a batch into the moments (Chan et al. 1983, doi:10.2307/2683386)."""
        batch = observations.flatten(start_dim=1).double()
        total = self.seen + len(batch)
        mean = batch.mean(dim=0)
        shift = mean - self.mean
        self.square += (batch - mean).square().sum(dim=0)
        self.square += shift.square() * self.seen * len(batch) / total
        self.mean += shift * len(batch) / total
        self.seen.copy_(total)

    def forward(self, observations: Shaped[Tensor, "B ..."]) -> Float[Tensor, "B features"]:
        """Observations as rows of features; their numbers unchanged before any were seen."""
        flat = observations.flatten(start_dim=1).float()
        if not float(self.seen):
            return flat
        deviation = (self.square / self.seen).sqrt().float()
        deviation = torch.where(deviation < 1e-3, 1.0, deviation)
        normal = (flat - self.mean.float()) / deviation
        return normal.clamp(-WIDEST, WIDEST)
