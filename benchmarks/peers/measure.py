"""What the peer benchmarks share: the rules of evaluation and the one line of output."""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from typing import Any

EPISODES = 40
EVALUATION_SEED = 10_000
"""Evaluation never starts from an episode that was trained on."""


def report(
    *,
    peer: str,
    task: str,
    seed: int,
    cpu_seconds: float,
    import_cpu_seconds: float,
    env_steps: int,
    returns: Sequence[float],
    extra: dict[str, Any],
) -> None:
    """Prints the result of one run as one line of JSON."""
    line = {
        "peer": peer,
        "task": task,
        "seed": seed,
        "cpu_seconds": round(cpu_seconds, 3),
        "import_cpu_seconds": round(import_cpu_seconds, 3),
        "env_steps": env_steps,
        "return_mean": round(statistics.fmean(returns), 2),
        "episodes": len(returns),
        "extra": {"return_std": round(statistics.pstdev(returns), 2), **extra},
    }
    print(json.dumps(line), flush=True)


def warm_torch() -> None:
    """Holds PyTorch to one thread and makes it load what its first optimiser needs."""
    import torch

    torch.set_num_threads(1)
    weight = torch.nn.Parameter(torch.zeros(1))
    optimiser = torch.optim.Adam([weight])
    weight.sum().backward()
    optimiser.step()
