"""Walks on a graph, and labels on pairs of them."""

import numpy as np

from rlhf_core.environments.factory import Environment
from rlhf_core.labels import Preferences
from rlhf_core.reward_learning.labelled import LabelledReward
from rlhf_core.reward_learning.questions import same_start_groups
from rlhf_core.rewards.constant import ConstantReward
from rlhf_core.rollouts import collect
from rlhf_core.segments import sample_segments

WALKS = Environment(id="rlhf/RandomWalks-v0", count=32)


def labelled_walks(environment: Environment = WALKS) -> LabelledReward:
    """Pairs of random walks from one node, of which the one with more sevens is preferred."""
    rng = np.random.default_rng(0)
    vector = environment.make_vector(32)
    rollouts, _ = collect(vector, lambda rows: rng.integers(21, size=len(rows)), 60, [*range(32)])
    vector.close()
    segments = sample_segments(rollouts, 300, 9, rng)
    whole = (segments.origin[:, 1] == 0) & segments.terminated.any(axis=1)
    segments = segments.take(np.flatnonzero(whole))
    pair = same_start_groups(segments, 2)
    sevens = (segments.actions == 7).sum(axis=1)
    left, right = sevens[pair].T
    ordered = left != right
    target = (right > left)[ordered].astype(np.float64)
    return LabelledReward(
        ConstantReward(0.0), segments, Preferences(pair[ordered], target, np.ones(len(target)))
    )
