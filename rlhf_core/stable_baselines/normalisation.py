"""Observations normalised in front of a policy of Stable-Baselines3, by running moments."""

import numpy as np
import torch
from gymnasium import spaces
from jaxtyping import Float, Shaped
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from torch import Tensor

from rlhf_core.normaliser import LARGEST, SMALLEST_STD, Normaliser


class Normalised(BaseFeaturesExtractor):
    """z = clip((x - mean) / std, -10, 10), with the moments of `rlhf_core.normaliser`.

    The moments are buffers, so they are saved and restored with the weights. They do not change
    while a rollout is collected and learned from, so probability ratios stay exact.
    """

    mean: Tensor
    square: Tensor
    count: Tensor

    def __init__(self, observation_space: spaces.Box | spaces.MultiBinary) -> None:
        size = int(np.prod(observation_space.shape))
        super().__init__(observation_space, size)
        self.register_buffer("mean", torch.zeros(size, dtype=torch.float64))
        self.register_buffer("square", torch.zeros(size, dtype=torch.float64))
        self.register_buffer("count", torch.zeros((), dtype=torch.float64))

    def update(self, observations: Shaped[Tensor, "B ..."]) -> None:
        """Add a batch to the moments."""
        batch = observations.flatten(start_dim=1).double()
        mean = batch.mean(dim=0)
        square = (batch - mean).square().sum(dim=0)
        before = Normaliser(self.mean.numpy(), self.square.numpy(), float(self.count))
        merged = before.merged(Normaliser(mean.numpy(), square.numpy(), float(len(batch))))
        self.mean.copy_(torch.from_numpy(merged.mean))
        self.square.copy_(torch.from_numpy(merged.square))
        self.count.fill_(merged.count)

    def forward(self, observations: Shaped[Tensor, "B ..."]) -> Float[Tensor, "B features"]:
        """Return observations as rows of features; unchanged before the first batch."""
        flat = observations.flatten(start_dim=1).float()
        if not float(self.count):
            return flat
        std = (self.square / self.count).sqrt().float()
        std = torch.where(std < SMALLEST_STD, 1.0, std)
        return ((flat - self.mean.float()) / std).clamp(-LARGEST, LARGEST)
