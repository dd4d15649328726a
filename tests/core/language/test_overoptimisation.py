"""Learning from labels for longer makes a policy better at the labels and worse at the task."""

import numpy as np
import pytest

pytest.importorskip("transformers")

from rlhf_core.environments.factory import episode_seeds
from rlhf_core.evaluation.returns import evaluate
from rlhf_core.labels import Preferences
from rlhf_core.optimisers.dpo import DPO
from rlhf_core.policies import PolicyState
from rlhf_core.reward_learning.labelled import LabelledReward
from rlhf_core.reward_learning.questions import same_start_groups
from rlhf_core.rewards.constant import ConstantReward
from rlhf_core.rollouts import collect
from rlhf_core.segments import sample_segments, true_rewards
from tests.core.language.examples import WALKS


def dpo(epochs: int) -> DPO:
    return DPO.model_validate(
        {
            "model": {"layers": 1},
            "fine_tuning": {"epochs": 12, "learning_rate": 3e-3},
            "epochs": epochs,
        }
    )


def score(policy: PolicyState) -> float:
    """Mean true return of 400 walks."""
    vector = WALKS.make_vector(400)
    act = dpo(1).act(policy, WALKS.spaces(), False, 5)
    played = evaluate(vector, act, episode_seeds(np.random.default_rng(9), 400))
    vector.close()
    return float(played.returns.mean())


def labels(policy: PolicyState) -> LabelledReward:
    """193 pairs of walks of a policy, from one node each, put in their true order."""
    rng, vector = np.random.default_rng(0), WALKS.make_vector()
    act = dpo(1).act(policy, WALKS.spaces(), False, 0)
    rollouts, rewards = collect(vector, act, 100, episode_seeds(rng, WALKS.count))
    vector.close()
    clips = sample_segments(rollouts, 800, 9, rng)
    clips = clips.take(np.flatnonzero(clips.terminated.any(axis=1)))
    pair = rng.permutation(same_start_groups(clips, 2))[:193]
    left, right = true_rewards(rewards, clips).values.sum(axis=1)[pair].T
    target = (np.sign(right - left) + 1) / 2
    preferences = Preferences(pair, target, np.ones(len(pair)))
    return LabelledReward(ConstantReward(0.0), clips, preferences)


def test_dpo_of_many_epochs_falls_below_its_start() -> None:
    start = dpo(1).first_policy(WALKS, 0)
    reward = labels(start)
    short, long = (dpo(epochs).optimise(start, WALKS, reward, 288, 288, 1) for epochs in (2, 8))
    assert long.metrics["policy/pair_loss"] < short.metrics["policy/pair_loss"]
    assert long.metrics["policy/kl_to_start"] > short.metrics["policy/kl_to_start"]
    assert score(long.state) < score(start) < score(short.state)
