"""Minibatches of Stable-Baselines3's replay buffer, those of many gradient steps in one gather."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from stable_baselines3.common.buffers import ReplayBuffer
from torch import Tensor

CHUNK = 64
"""Gradient steps whose minibatches are gathered at once."""


class Minibatch(NamedTuple):
    """Transitions of one gradient step."""

    observations: Float[Tensor, "2 B features"]
    """Observations, and after them the next observations."""
    actions: Float[Tensor, "B act"]
    """Scaled to [-1, 1]."""
    rewards: Float[Tensor, "B 1"]
    discounts: Float[Tensor, "B 1"]
    """The discount, or 0 where the episode terminated."""


class Pairs:
    """Observations beside actions, the inputs of N critics, in one array."""

    def __init__(self, batch: int, features: int, size: int, critics: int) -> None:
        pairs = torch.empty(batch, features + size)
        self.observations, self.actions = pairs[:, :features], pairs[:, features:]
        self.inputs = pairs.expand(critics, -1, -1)
        """The same for all critics."""


def is_plain(buffer: object) -> bool:
    """Return whether a buffer samples as `ReplayBuffer` does, and keeps the next observations."""
    return (
        isinstance(buffer, ReplayBuffer)
        and type(buffer).sample is ReplayBuffer.sample
        and type(buffer)._get_samples is ReplayBuffer._get_samples
        and not buffer.optimize_memory_usage
    )


def draw(buffer: ReplayBuffer, batch_size: int, count: int, discount: float) -> Iterator[Minibatch]:
    """Yield `count` minibatches, with the draws of Stable-Baselines3 from NumPy's generator."""
    for start in range(0, count, CHUNK):
        yield from _gather(buffer, batch_size, min(CHUNK, count - start), discount)


def _gather(
    buffer: ReplayBuffer, batch_size: int, count: int, discount: float
) -> Iterator[Minibatch]:
    indices = np.empty((count, batch_size), dtype=np.int64)
    for index in indices:
        # The order of draws of `BaseBuffer.sample` and `ReplayBuffer._get_samples`.
        rows = np.random.randint(0, buffer.size(), size=batch_size)
        index[:] = rows * buffer.n_envs + np.random.randint(0, buffer.n_envs, size=batch_size)

    def gathered(column: np.ndarray) -> np.ndarray:
        rows: np.ndarray = column.reshape(buffer.buffer_size * buffer.n_envs, -1)
        return rows.take(indices, axis=0)

    features = int(np.prod(buffer.obs_shape))
    observations = np.empty((count, 2, batch_size, features), dtype=np.float32)
    observations[:, 0] = gathered(buffer.observations)
    observations[:, 1] = gathered(buffer.next_observations)
    actions = gathered(buffer.actions).astype(np.float32, copy=False)
    ended = gathered(buffer.dones) * (1 - gathered(buffer.timeouts))
    discounts = (1 - ended) * np.float32(discount)
    columns = (
        observations,
        actions,
        gathered(buffer.rewards),
        discounts.astype(np.float32, copy=False),
    )
    return (Minibatch(*parts) for parts in zip(*map(torch.from_numpy, columns), strict=True))
