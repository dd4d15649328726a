"""A replay buffer whose rewards are replaced whenever the reward has changed."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from jaxtyping import Float
from stable_baselines3 import SAC
from stable_baselines3.common.buffers import ReplayBuffer
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.distributions import SquashedDiagGaussianDistribution
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
from stable_baselines3.common.type_aliases import ReplayBufferSamples
from stable_baselines3.common.vec_env import VecNormalize

from rlhf_core.demonstrations import demonstrations
from rlhf_core.environments.spaces import is_image
from rlhf_core.policies import Report
from rlhf_core.recording import Record, join
from rlhf_core.reservoir import Reservoir
from rlhf_core.rewards import EnvironmentReward, ObservingReward, Reward, RewardFunction
from rlhf_core.stable_baselines.relabelling import all_steps, transitions
from rlhf_core.stable_baselines.vec_env import RecordingVecEnv
from rlhf_core.types import Trajectory, Transitions, TrueRewards

PREFIX = "replay/"
"""Of the keys among what the optimiser remembers."""
COLUMNS = ("observations", "next_observations", "acted", "terminated", "timeouts")
CHUNK = 16384
"""Transitions that are labelled at once: those of images do not fit into memory all together."""


class Replay(ReplayBuffer):
    """Transitions as the environment gave them, added when a rollout is complete.

    `acted` are the actions that the environment received, `actions` the same between -1 and 1.
    """

    def __init__(
        self,
        buffer_size: int,
        observation_space: spaces.Space[Any],
        action_space: spaces.Space[Any],
        device: torch.device | str = "cpu",
        n_envs: int = 1,
        optimize_memory_usage: bool = False,
        *,
        own_space: spaces.Space[Any],
    ) -> None:
        """An empty buffer; arguments as of the base class, and the observations' own space."""
        super().__init__(buffer_size, own_space, action_space, device, n_envs)
        shape = (self.buffer_size, n_envs)
        self.acted = np.zeros((*shape, *(action_space.shape or ())), dtype=action_space.dtype)
        self.terminated = np.zeros(shape, dtype=bool)
        self.true_rewards = np.zeros(shape)

    def __len__(self) -> int:
        """Transitions that are remembered."""
        return self.size() * self.n_envs

    def add(self, *args: Any, **named: Any) -> None:
        """Nothing: a rollout is added whole, by `remember`."""

    def remember(self, record: Record) -> np.ndarray:
        """Remember a rollout; returns the rows that it took."""
        steps = len(record.rewards)
        rows = (self.pos + np.arange(steps)) % self.buffer_size
        shape = (steps, self.n_envs, *self.obs_shape)
        self.observations[rows] = record.observations.reshape(shape)
        self.next_observations[rows] = record.next_observations.reshape(shape)
        self.acted[rows] = record.actions
        self.actions[rows] = self._scaled(record.actions).reshape(steps, self.n_envs, -1)
        self.terminated[rows] = record.terminated
        self.dones[rows] = record.terminated | record.truncated
        self.timeouts[rows] = record.truncated & ~record.terminated
        self.true_rewards[rows] = record.rewards
        self.full = self.full or self.pos + steps >= self.buffer_size
        self.pos = (self.pos + steps) % self.buffer_size
        return rows

    def _scaled(self, actions: np.ndarray) -> np.ndarray:
        """Actions as the networks read them."""
        space = self.action_space
        if not isinstance(space, spaces.Box):
            return actions
        scaled: np.ndarray = 2 * ((actions - space.low) / (space.high - space.low)) - 1
        return scaled

    def transitions(self, rows: np.ndarray) -> Transitions:
        """Rows as a flat batch, as the reward reads them."""
        shape = self.observation_space.shape or ()
        return Transitions(
            self.observations[rows].reshape(-1, *shape),
            all_steps(self.acted[rows]),
            self.next_observations[rows].reshape(-1, *shape),
            self.terminated[rows].ravel(),
        )

    def rows(self) -> np.ndarray:
        """All rows that are filled, oldest first."""
        start = self.pos if self.full else 0
        return (start + np.arange(self.size())) % self.buffer_size

    def memory(self, true_rewards: bool) -> dict[str, np.ndarray]:
        """All transitions as arrays, oldest first; their true rewards only where needed."""
        rows = self.rows()
        columns = {name: getattr(self, name)[rows] for name in COLUMNS}
        columns["timeouts"] = columns["timeouts"].astype(bool)
        if true_rewards:
            columns["true_rewards"] = self.true_rewards[rows]
        return {PREFIX + name: all_steps(column) for name, column in columns.items()}

    def recall(self, memory: Mapping[str, np.ndarray], true_rewards: bool) -> None:
        """Take up what `memory` wrote down, the newest where there is no room for all."""
        wanted = (*COLUMNS, "true_rewards") if true_rewards else COLUMNS
        if any(PREFIX + name not in memory for name in wanted):
            return
        copies = self.n_envs
        count = min(len(memory[f"{PREFIX}terminated"]) // copies, self.buffer_size)
        held = {
            name: (array := np.asarray(memory[PREFIX + name]))[
                len(array) - count * copies :
            ].reshape(count, copies, *array.shape[1:])
            for name in wanted
        }
        if count:
            self.remember(
                Record(
                    held["observations"],
                    held["next_observations"],
                    held["acted"],
                    held["terminated"],
                    held["timeouts"],
                    held.get("true_rewards", np.zeros((count, copies))),
                )
            )

    def _get_samples(
        self, batch_inds: np.ndarray, env: VecNormalize | None = None
    ) -> ReplayBufferSamples:
        samples = super()._get_samples(batch_inds, env)
        if not is_image(self.observation_space):
            return samples
        seen, after = (
            images.flatten(start_dim=1).float() / 255
            for images in (samples.observations, samples.next_observations)
        )
        return samples._replace(observations=seen, next_observations=after)


class RelabelReplay(BaseCallback):
    """Labels a rollout in one batch, and all that is remembered when the reward has changed."""

    def __init__(
        self,
        reward: Reward,
        environment: RecordingVecEnv,
        replay: Replay,
        kept: Reservoir,
        true_scale: float | None,
        observe_steps: int,
        report: Report,
        rng: np.random.Generator,
    ) -> None:
        super().__init__()
        self.reward = reward
        self.true_scale = true_scale
        self.taken = 0
        """Environment steps of all rollouts."""
        self._kept = kept
        self._environment = environment
        self._replay = replay
        self._observe_steps = observe_steps
        self._report = report
        self._rng = rng
        self._unseen: list[Record] = []

    def _on_training_start(self) -> None:
        self._relabel(self._replay.rows())

    def _on_step(self) -> bool:
        return True

    def _on_rollout_end(self) -> None:
        record = self._environment.recorder.take()
        rows = self._replay.remember(record)
        self._kept.add(record)
        self.taken += record.rewards.size
        if isinstance(self.reward, ObservingReward):
            self._unseen.append(record)
            if sum(r.rewards.size for r in self._unseen) >= self._observe_steps:
                rows = self._observe()
        elif isinstance(self.reward, EnvironmentReward) and self.true_scale is None:
            rows = self._scale(rows)
        self._relabel(rows)
        self._report(record.rewards.size)

    def _on_training_end(self) -> None:
        if self._unseen:
            self._observe()

    def _observe(self) -> np.ndarray:
        """Let the reward learn from what it has not seen; returns the rows that it changes."""
        assert isinstance(self.reward, ObservingReward)
        density = self._density if isinstance(self.model, SAC) else None
        self.reward = self.reward.observe(transitions(join(self._unseen)), density, self._rng)
        self._unseen = []
        return self._replay.rows()

    def _scale(self, rows: np.ndarray) -> np.ndarray:
        """Learned rewards come on a scale of 1; the control gets the same, once and for all.

        It is that of all steps until the first that teach, or later ones if those paid nothing.
        """
        assert isinstance(self.model, OffPolicyAlgorithm)
        if self.model.num_timesteps <= self.model.learning_starts:
            return rows
        every = self._replay.rows()
        self.true_scale = float(np.sqrt(np.square(self._replay.true_rewards[every]).mean())) or None
        return every

    def _relabel(self, rows: np.ndarray) -> None:
        """Give the rows the reward of now."""
        replay = self._replay
        if isinstance(self.reward, EnvironmentReward):
            replay.rewards[rows] = replay.true_rewards[rows] / (self.true_scale or 1.0)
        elif len(rows):
            labels = in_chunks(self.reward, replay.transitions(rows))
            replay.rewards[rows] = labels.reshape(len(rows), -1)

    def labels(self, trajectory: Trajectory, true: TrueRewards) -> Float[np.ndarray, " T"]:
        """What the reward of now pays for an episode."""
        if isinstance(self.reward, EnvironmentReward):
            return true.values / (self.true_scale or 1.0)
        return in_chunks(self.reward, demonstrations([trajectory]).transitions())

    def _density(self, observations: np.ndarray, actions: np.ndarray) -> np.ndarray:
        """Log-probability (B,) of actions under the policy that is just learning.

        That of its squashed Gaussian on [-1, 1], less the logarithm of how far that is stretched.
        """
        assert isinstance(self.model, SAC)
        policy, space = self.model.policy, self.model.action_space
        assert isinstance(space, spaces.Box)
        seen, _ = policy.obs_to_tensor(self._environment.shown(observations))
        acted = policy.scale_action(actions).reshape(len(actions), -1)
        with torch.no_grad():
            mean, log_std, _ = self.model.actor.get_action_dist_params(seen)
            squashing = self.model.actor.action_dist
            assert isinstance(squashing, SquashedDiagGaussianDistribution)
            drawn = squashing.proba_distribution(mean, log_std)
            squashed = drawn.log_prob(torch.from_numpy(acted.astype(np.float32))).numpy()
        stretched = np.log((space.high - space.low) / 2).sum()
        likelihood: np.ndarray = (squashed - stretched).astype(np.float32)
        return likelihood


def in_chunks(reward: RewardFunction, seen: Transitions) -> Float[np.ndarray, " B"]:
    """The reward of many transitions, in batches as large as memory may hold."""
    starts = range(0, len(seen.terminated), CHUNK)
    parts = [reward(*(column[start : start + CHUNK] for column in seen)) for start in starts]
    return np.concatenate(parts)
