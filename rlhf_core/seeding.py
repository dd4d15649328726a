"""One seed sequence for a run; every random draw names the place it belongs to.

The generator of (round, stage, member) depends on the seed and on those three alone, so a
resumed run, a run on another machine or a run with one stage more draws the same numbers.
"""

import random
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from rlhf_core.threads import PROCESS_STATE


def sequence(seed: int, round: int, stage: str, member: int = 0) -> np.random.SeedSequence:
    """The seed sequence of one place in a run."""
    return np.random.SeedSequence(
        entropy=seed, spawn_key=(round, zlib.crc32(stage.encode()), member)
    )


def generator(seed: int, round: int, stage: str, member: int = 0) -> np.random.Generator:
    """A NumPy generator for one place in a run."""
    return np.random.default_rng(sequence(seed, round, stage, member))


def integer(rng: np.random.Generator) -> int:
    """A seed in [0, 2**31) for a library that wants a plain integer."""
    return int(rng.integers(2**31))


@contextmanager
def isolated(seed: int) -> Iterator[None]:
    """Seed the global generators for a library that draws from them, then restore them.

    Stable-Baselines3 samples actions from torch's global generator and permutes minibatches
    with NumPy's. Inside this block both are seeded, and no other run of this process is inside;
    after it they are as they were before.
    """
    import torch

    with PROCESS_STATE, torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        states = random.getstate(), np.random.get_state()
        random.seed(seed)
        np.random.seed(seed % 2**32)
        # Not `torch.manual_seed`, which formats a traceback for each accelerator that is not there.
        torch.default_generator.manual_seed(seed)
        if torch.cuda.is_available():
            torch.cuda.manual_seed_all(seed)
        try:
            yield
        finally:
            random.setstate(states[0])
            np.random.set_state(states[1])
