"""Learned and true rewards of the same steps."""

from typing import NamedTuple

import numpy as np

from rlhf_core.rewards import RewardFunction
from rlhf_core.segments import sample_segments, true_rewards
from rlhf_core.types import RolloutRewards, Rollouts, Segments

DIAGNOSTIC_STEPS = 2048
"""Steps on which the learned reward is compared with the true one."""


class Comparison(NamedTuple):
    """Learned and true reward of the same steps of the newest policy, for the diagnostic plot."""

    learned: np.ndarray
    true: np.ndarray


def sample_both_rewards(
    reward: RewardFunction, rollouts: Rollouts, rewards: RolloutRewards, rng: np.random.Generator
) -> tuple[Segments, np.ndarray, np.ndarray]:
    """Single steps at random, and their learned and true rewards."""
    count = min(DIAGNOSTIC_STEPS, rollouts.steps)
    steps = sample_segments(rollouts, count, 1, rng)
    learned = reward(
        steps.observations[:, 0],
        steps.actions[:, 0],
        steps.observations[:, 1],
        steps.terminated[:, 0],
    )
    return steps, learned, true_rewards(rewards, steps).values[:, 0]
