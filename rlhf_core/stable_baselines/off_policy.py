"""Training of Stable-Baselines3's off-policy algorithms, from arrays to arrays."""

import copy
import sys
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from stable_baselines3 import DQN
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.noise import NormalActionNoise
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm

from rlhf_core.environments.factory import Environment
from rlhf_core.policies import Optimised, PolicyState, Report
from rlhf_core.reservoir import RESERVOIR_STEPS, Reservoir
from rlhf_core.rewards import EnvironmentReward, Reward
from rlhf_core.seeding import integer
from rlhf_core.stable_baselines.off_policy_state import (
    Algorithm,
    arrays,
    optimizer_state,
    restore,
)
from rlhf_core.stable_baselines.on_policy import TRUE_SCALE
from rlhf_core.stable_baselines.replay_buffer import Replay, replay_class
from rlhf_core.stable_baselines.replay_relabelling import ReplayRelabelling
from rlhf_core.stable_baselines.vec_env import RecordingVecEnv
from rlhf_core.types import RolloutRewards, Rollouts


def learn(
    algorithm: Algorithm,
    arguments: Mapping[str, Any],
    hidden: tuple[int, ...],
    learning_rate: Callable[[float], float],
    observe_steps: int,
    state: PolicyState,
    environment: Environment,
    reward: Reward,
    steps: int,
    total_steps: int,
    rng: np.random.Generator,
    report: Report,
) -> Optimised:
    """Train for `steps` environment steps; the caller isolates the global generators."""
    vector = RecordingVecEnv(environment, rng, False)
    own_space = environment.spaces().observation
    stored_steps = 0

    def done(remaining: float) -> float:
        """Return the fraction of the run's steps that are done, from the model's own progress."""
        taken = max((1 - remaining) * (stored_steps + steps) - stored_steps, 0.0)
        return (state.steps + taken) / max(total_steps, 1)

    with warnings.catch_warnings():
        # A target network that is updated at every step, if there are as many copies, is intended.
        warnings.filterwarnings("ignore", message="The number of environments used is greater")
        model: OffPolicyAlgorithm = algorithm.model(
            "MlpPolicy",
            vector,
            learning_rate=lambda remaining: learning_rate(done(remaining)),
            replay_buffer_class=replay_class(own_space),
            replay_buffer_kwargs={"own_space": own_space},
            policy_kwargs={"net_arch": list(hidden)},
            device="cpu",
            **algorithm.arguments,
            **arguments,
        )
    model.set_logger(Logger(folder=None, output_formats=[]))
    # Its random actions come from the space, whose generator is shared with other users of it.
    model.action_space = copy.deepcopy(model.action_space)
    model.action_space.seed(integer(rng))
    if algorithm.noise_std:
        shape = model.action_space.shape or ()
        model.action_noise = NormalActionNoise(np.zeros(shape), np.full(shape, algorithm.noise_std))
    restore(model, state)
    replay, controlled = model.replay_buffer, isinstance(reward, EnvironmentReward)
    assert isinstance(replay, Replay)
    replay.restore(state.optimizer_state, controlled)
    # The warm-up counts restored transitions.
    model.num_timesteps = stored_steps = len(replay)
    if algorithm.exploration is not None:
        assert isinstance(model, DQN)
        exploration = algorithm.exploration
        model.exploration_schedule = lambda remaining: exploration(done(remaining))
        model.exploration_rate = exploration(done(1.0))
    scale = state.optimizer_state.get(TRUE_SCALE)
    true_scale = None if scale is None else float(scale)
    reservoir = Reservoir(RESERVOIR_STEPS, state.steps, rng)
    relabelling = ReplayRelabelling(
        reward, vector, replay, reservoir, true_scale, observe_steps, report, rng
    )
    try:
        model.learn(
            steps, callback=relabelling, log_interval=sys.maxsize, reset_num_timesteps=False
        )
    finally:
        vector.close()
    rollouts, rewards = reservoir.trajectories()
    after = optimizer_state(model) | replay.buffers(controlled)
    if relabelling.true_scale is not None:
        after[TRUE_SCALE] = np.array(relabelling.true_scale)
    proxy = _proxy_metrics(relabelling, rollouts, rewards, environment.horizon())
    return Optimised(
        PolicyState(arrays(model.policy), after, state.steps + relabelling.steps),
        rollouts,
        rewards,
        {**proxy, **_metrics(model)},
        relabelling.reward,
    )


def _proxy_metrics(
    relabelling: ReplayRelabelling, rollouts: Rollouts, rewards: RolloutRewards, horizon: int
) -> dict[str, float]:
    """Return the mean return by the current reward, and how far its mean rose in this call."""
    episodes = rollouts.trajectories
    labels = [
        relabelling.labels(trajectory, true)
        for trajectory, true in zip(episodes, rewards.rewards, strict=True)
    ]
    absorbing = np.array([trajectory.absorbing_steps for trajectory in episodes])
    steps = np.array([len(trajectory) for trajectory in episodes]) + absorbing
    returns = np.array([played.sum() for played, _ in labels])
    returns = returns + np.array([stay for _, stay in labels]) * absorbing
    ended = np.array([trajectory.finished(horizon) for trajectory in episodes])
    # Rollouts are short: the first eighth of the episodes is compared with the last.
    part = max(1, len(labels) // 8)
    first, last = slice(None, part), slice(-part, None)
    means = [returns[chosen].sum() / steps[chosen].sum() for chosen in (first, last)]
    return {
        "proxy/return_mean": float(returns[ended].mean() if ended.any() else returns.mean()),
        "proxy/gain": float(means[1] - means[0]),
    }


def _metrics(model: OffPolicyAlgorithm) -> dict[str, float]:
    logged = model.logger.name_to_value
    metrics = {}
    for name in ("train/critic_loss", "train/loss"):
        if name in logged:
            metrics["policy/value_loss"] = float(logged[name])
    if "train/ent_coef" in logged:
        metrics["policy/temperature"] = float(logged["train/ent_coef"])
    if isinstance(model, DQN):
        metrics["policy/exploration_rate"] = float(model.exploration_rate)
    return metrics
