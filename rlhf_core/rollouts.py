"""Playing a policy, and the true returns of its episodes."""

from typing import Any

import numpy as np
from gymnasium.vector import VectorEnv

from rlhf_core.acting import Act, reset
from rlhf_core.recording import Recorder
from rlhf_core.reservoir import trajectories
from rlhf_core.types import RolloutRewards, Rollouts


def finished_returns(rollouts: Rollouts, rewards: RolloutRewards, horizon: int) -> np.ndarray:
    """True returns (E,) of the finished episodes, in the order in which they ended.

    Args:
        rollouts: by the time of their end.
        rewards: their true rewards.
        horizon: steps after which an episode is cut off; an unfinished one is shorter.
    """
    return np.array(
        [
            true.values.sum()
            for trajectory, true in zip(rollouts.trajectories, rewards.rewards, strict=True)
            if trajectory.finished(horizon)
        ]
    )


def collect(
    environment: VectorEnv[Any, Any, Any], act: Act, steps: int, seeds: list[int]
) -> tuple[Rollouts, RolloutRewards]:
    """Play a policy for `steps` steps of every copy.

    Args:
        environment: resets in the step in which an episode ends (`AutoresetMode.SAME_STEP`).
        act: the policy.
        steps: steps of each copy.
        seeds: one reset seed a copy.
    """
    recorder = Recorder(environment)
    recorder.reset(seeds)
    reset(act, np.ones(len(seeds), dtype=bool))
    for _ in range(steps):
        reset(act, recorder.step(act(recorder.observation)))
    return trajectories(recorder.take(), policy_version=0)
