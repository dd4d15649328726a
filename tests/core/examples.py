"""Small values that several tests start from."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from gymnasium import spaces

from rlhf_core.environments.factory import Spaces
from rlhf_core.evidence import Annotations, Choice, Queries, Request
from rlhf_core.experiment import Experiment, from_mapping
from rlhf_core.types import RolloutRewards, Rollouts, Segments, Trajectory, TrueRewards

HERE = "tests.core.environments"

LINE = Spaces(spaces.Box(-100, 100, (1,)), spaces.Discrete(2))
"""What `segments` look like to a reward: one number seen, two actions."""


def trajectory(steps: int, first: float = 0, terminated: bool = False) -> Trajectory:
    """Observations first, first + 1, ...; actions 0, 1, 0, 1, ..."""
    return Trajectory(
        observations=(first + np.arange(steps + 1, dtype=np.float32))[:, None],
        actions=np.arange(steps) % 2,
        terminated=terminated,
        truncated=not terminated,
        policy_version=0,
    )


def played(*lengths: int) -> tuple[Rollouts, RolloutRewards]:
    """Trajectory i shows 100 i, 100 i + 1, ... and pays in each step what it then shows."""
    found = tuple(trajectory(steps, first=100 * i) for i, steps in enumerate(lengths))
    paid = tuple(TrueRewards(t.observations[1:, 0].astype(np.float64)) for t in found)
    return Rollouts(found), RolloutRewards(paid)


def segments(shown: Sequence[Sequence[float]] | np.ndarray, mask: Any = None) -> Segments:
    """Segments (S, L) whose steps begin at these numbers; each ends where its last step began."""
    numbers = np.asarray(shown, dtype=np.float32)
    count, steps = numbers.shape
    return Segments(
        observations=np.concatenate([numbers, numbers[:, -1:]], axis=1)[..., None],
        actions=np.zeros((count, steps), dtype=np.int64),
        terminated=np.zeros((count, steps), dtype=bool),
        mask=np.ones((count, steps), dtype=bool) if mask is None else np.asarray(mask, dtype=bool),
        origin=np.zeros((count, 2), dtype=np.int64),
    )


def request(shown: Sequence[Sequence[float]] | np.ndarray, pair: Any, mask: Any = None) -> Request:
    """A request for comparisons of such segments."""
    clips = segments(shown, mask)
    return Request(clips, Queries(np.asarray(pair, dtype=np.int64).reshape(-1, 2)), clips)


def annotations(query: Sequence[int], choice: Sequence[Choice]) -> Annotations:
    """Judgements by worker 0, free and at once."""
    count = len(query)
    return Annotations(
        query=np.asarray(query, dtype=np.int64),
        worker=np.zeros(count, dtype=np.int64),
        choice=np.asarray(choice, dtype=np.int64),
        seconds=np.zeros(count),
        cost=np.zeros(count),
    )


def tiny(environment: str = f"{HERE}:Corridor-v0", **changes: Any) -> Experiment:
    """A whole experiment that takes a fraction of a second.

    `changes` replace its sections; those of the environment are named `environment_...`.
    """
    prefix = "environment_"
    inner = {name.removeprefix(prefix): changes.pop(name) for name in [*changes] if prefix in name}
    return from_mapping(
        {
            "name": "tiny",
            "environment": {"id": environment, "count": 2, **inner},
            "feedback": {
                "kind": "preference",
                "segment_steps": 4,
                "queries": {"kind": "disagreement", "oversample": 2},
                "reward_model": {"hidden": [8], "members": 2, "epochs": 3},
            },
            "optimiser": {"steps": 8, "batch_size": 8, "epochs": 1, "hidden": [8]},
            "budget": {"env_steps": 80, "labels": 8, "rounds": 2, "initial_steps": 16},
            "evaluation": {"episodes": 3},
            **changes,
        }
    )
