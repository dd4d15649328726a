"""How many numbers and bytes things take at the least: networks, observations, rollouts."""

from collections.abc import Sequence
from itertools import pairwise
from math import prod
from typing import Any

from gymnasium import spaces

from rlhf_core.environments.spaces import Spaces

TRAINED = 16
"""Bytes of a parameter that is trained: itself, its gradient and Adam's two moments."""
COPY = 500
"""Bytes of a copy of an environment: its generator, its counters, its seed."""


def features(space: spaces.Space[Any]) -> int:
    """Numbers of a value as a network reads it: categories one-hot."""
    if isinstance(space, spaces.Discrete):
        return int(space.n)
    if isinstance(space, spaces.MultiDiscrete):
        return sum(int(size) for size in space.nvec.ravel())
    return prod(space.shape or ())


def input_features(inputs: Sequence[str], spaces_: Spaces) -> int:
    """Numbers of the inputs that a reward reads of a step, named as in its configuration."""
    widths = {
        "observation": features(spaces_.observation),
        "next_observation": features(spaces_.observation),
        "action": features(spaces_.action),
        "terminated": 2,
    }
    return sum(widths[name] for name in set(inputs))


def value_bytes(space: spaces.Space[Any]) -> int:
    """Bytes of one value."""
    size = 1 if space.dtype is None else space.dtype.itemsize
    return prod(space.shape or ()) * size


def row_bytes(spaces_: Spaces) -> int:
    """Bytes of one recorded step: both observations, action, reward, two flags."""
    return 2 * value_bytes(spaces_.observation) + value_bytes(spaces_.action) + 10


def parameters(widths: Sequence[int]) -> int:
    """Parameters of dense layers of these widths, inputs and outputs included."""
    return sum((fan_in + 1) * fan_out for fan_in, fan_out in pairwise(widths))
