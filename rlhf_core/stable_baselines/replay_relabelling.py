"""A callback that labels the replay buffer anew whenever the reward has changed."""

import numpy as np
import torch
from gymnasium import spaces
from jaxtyping import Float
from stable_baselines3 import SAC
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.distributions import SquashedDiagGaussianDistribution
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm

from rlhf_core.demonstrations import demonstrations
from rlhf_core.policies import Report
from rlhf_core.recording import Record, join
from rlhf_core.reservoir import Reservoir
from rlhf_core.rewards import EnvironmentReward, ObservingReward, Reward, RewardFunction
from rlhf_core.rewards.absorbing import (
    UNSCALED,
    AbsorbingScale,
    staying_rewards,
    value_of_staying,
)
from rlhf_core.stable_baselines.relabelling import observed_transitions
from rlhf_core.stable_baselines.replay_buffer import Replay
from rlhf_core.stable_baselines.vec_env import RecordingVecEnv
from rlhf_core.types import Trajectory, Transitions, TrueRewards

CHUNK = 16384
"""Transitions that are labelled at once; all those of an image buffer need too much memory."""


class ReplayRelabelling(BaseCallback):
    """A callback that labels each rollout in one batch, and the whole buffer after a new reward."""

    def __init__(
        self,
        reward: Reward,
        environment: RecordingVecEnv,
        replay: Replay,
        reservoir: Reservoir,
        true_scale: float | None,
        observe_steps: int,
        report: Report,
        rng: np.random.Generator,
    ) -> None:
        super().__init__()
        self.reward = reward
        self.true_scale = true_scale
        self.steps = 0
        """Environment steps of all rollouts."""
        self._reservoir = reservoir
        self._environment = environment
        self._replay = replay
        self._observe_steps = observe_steps
        self._report = report
        self._rng = rng
        self._unobserved: list[Record] = []
        self._absorbing, self._scale_before = AbsorbingScale(None), UNSCALED

    def _on_training_start(self) -> None:
        self._relabel(self._replay.rows())

    def _on_step(self) -> bool:
        return True

    def _on_rollout_end(self) -> None:
        record = self._environment.recorder.take()
        rows = self._replay.add_rollout(record)
        self._reservoir.add(record)
        self.steps += record.rewards.size
        if isinstance(self.reward, ObservingReward):
            self._unobserved.append(record)
            if sum(r.rewards.size for r in self._unobserved) >= self._observe_steps:
                rows = self._observe()
        elif isinstance(self.reward, EnvironmentReward) and self.true_scale is None:
            rows = self._scale(rows)
        self._relabel(rows)
        self._report(record.rewards.size)

    def _on_training_end(self) -> None:
        if self._unobserved:
            self._observe()

    def _observe(self) -> np.ndarray:
        """Let the reward learn from the new rollouts, and return the rows whose labels change."""
        assert isinstance(self.reward, ObservingReward)
        density = self._density if isinstance(self.model, SAC) else None
        observed = observed_transitions(join(self._unobserved))
        self.reward = self.reward.observe(observed, density, self._rng)
        self._unobserved = []
        return self._replay.rows()

    def _scale(self, rows: np.ndarray) -> np.ndarray:
        """Set the scale of the true reward, as learned rewards have a scale of 1.

        It is the root mean square of the steps before the first gradient step, or of later ones
        while all rewards are 0. Returns the rows whose labels change.
        """
        assert isinstance(self.model, OffPolicyAlgorithm)
        if self.model.num_timesteps <= self.model.learning_starts:
            return rows
        every = self._replay.rows()
        self.true_scale = float(np.sqrt(np.square(self._replay.true_rewards[every]).mean())) or None
        return every

    def _relabel(self, rows: np.ndarray) -> None:
        """Label rows with the current reward, and what follows an early end with its value."""
        replay = self._replay
        if isinstance(self.reward, EnvironmentReward):
            replay.rewards[rows] = replay.true_rewards[rows] / (self.true_scale or 1.0)
            return
        if not len(rows):
            return
        rewards = in_chunks(self.reward, replay.transitions(rows)).reshape(len(rows), -1)
        absorbed, ends = replay.staying(rows)
        scale = self._absorbing.of(self.reward, ends, rewards)
        before, self._scale_before = self._scale_before, scale
        if scale != before and len(rows) < replay.size():
            self._relabel(replay.rows())
            return
        assert isinstance(self.model, OffPolicyAlgorithm)
        labels = scale(rewards)
        labels[absorbed] += self.model.gamma * value_of_staying(
            scale(staying_rewards(self.reward, ends)),
            replay.absorbing_steps[rows][absorbed],
            self.model.gamma,
        )
        replay.rewards[rows] = labels

    def labels(
        self, trajectory: Trajectory, true: TrueRewards
    ) -> tuple[Float[np.ndarray, " T"], float]:
        """Return the current reward of each step of an episode, and that of an absorbing step."""
        if isinstance(self.reward, EnvironmentReward):
            return true.values / (self.true_scale or 1.0), 0.0
        played = demonstrations([trajectory])
        rewards = in_chunks(self.reward, played.observed_transitions())
        return rewards[: len(trajectory)], float(rewards[len(trajectory) :].sum())

    def _density(self, observations: np.ndarray, actions: np.ndarray) -> np.ndarray:
        """Return the log-probability (B,) of actions under the current policy of SAC.

            log p(a) = log p(u) - sum over dimensions of log((high - low) / 2)

        with u the action scaled to [-1, 1], whose density is a squashed Gaussian.
        """
        assert isinstance(self.model, SAC)
        policy, space = self.model.policy, self.model.action_space
        assert isinstance(space, spaces.Box)
        inputs, _ = policy.obs_to_tensor(self._environment.flattened(observations))
        scaled = policy.scale_action(actions).reshape(len(actions), -1)
        with torch.no_grad():
            mean, log_std, _ = self.model.actor.get_action_dist_params(inputs)
            squashed = self.model.actor.action_dist
            assert isinstance(squashed, SquashedDiagGaussianDistribution)
            distribution = squashed.proba_distribution(mean, log_std)
            density = distribution.log_prob(torch.from_numpy(scaled.astype(np.float32))).numpy()
        log_scale = np.log((space.high - space.low) / 2).sum()
        log_prob: np.ndarray = (density - log_scale).astype(np.float32)
        return log_prob


def in_chunks(reward: RewardFunction, steps: Transitions) -> Float[np.ndarray, " B"]:
    """Compute the reward of many transitions, `CHUNK` at a time."""
    starts = range(0, len(steps.terminated), CHUNK)
    parts = [reward(*(column[start : start + CHUNK] for column in steps)) for start in starts]
    return np.concatenate(parts)
