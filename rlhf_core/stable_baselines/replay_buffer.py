"""A replay buffer whose rewards can be replaced, and which is filled by whole rollouts."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3.common.buffers import ReplayBuffer
from stable_baselines3.common.type_aliases import ReplayBufferSamples
from stable_baselines3.common.vec_env import VecNormalize

from rlhf_core.environments.spaces import is_image
from rlhf_core.recording import Record
from rlhf_core.stable_baselines.relabelling import all_steps
from rlhf_core.types import Transitions

PREFIX = "replay/"
"""Prefix of the buffer's keys in `PolicyState.optimizer_state`."""
COLUMNS = (
    "observations", "next_observations", "acted", "terminated", "timeouts", "absorbing_steps",
)  # fmt: skip


class Replay(ReplayBuffer):
    """Transitions of the environment, added when a rollout is complete.

    `acted` are the actions that the environment received, `actions` are scaled to [-1, 1].
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
        """Make an empty buffer; `own_space` is the observation space before it is flattened."""
        super().__init__(buffer_size, own_space, action_space, device, n_envs)
        shape = (self.buffer_size, n_envs)
        self.acted = np.zeros((*shape, *(action_space.shape or ())), dtype=action_space.dtype)
        self.terminated = np.zeros(shape, dtype=bool)
        self.true_rewards = np.zeros(shape)
        self.absorbing_steps = np.full(shape, -1)

    def __len__(self) -> int:
        """Number of stored transitions."""
        return self.size() * self.n_envs

    def add(self, *args: Any, **named: Any) -> None:
        """Do nothing: `add_rollout` adds whole rollouts."""

    def add_rollout(self, record: Record) -> np.ndarray:
        """Store a rollout and return its rows."""
        steps = len(record.rewards)
        rows = (self.pos + np.arange(steps)) % self.buffer_size
        shape = (steps, self.n_envs, *self.obs_shape)
        self.observations[rows] = record.observations.reshape(shape)
        self.next_observations[rows] = record.next_observations.reshape(shape)
        self.acted[rows] = record.actions
        self.actions[rows] = self._scaled(record.actions).reshape(steps, self.n_envs, -1)
        self.terminated[rows] = record.terminated
        self.dones[rows] = record.terminated | record.truncated
        absorbed = record.absorbing_steps >= 0
        # What follows an absorbed step is part of its label, and not the value of a next state.
        self.timeouts[rows] = record.truncated & ~record.terminated & ~absorbed
        self.absorbing_steps[rows] = record.absorbing_steps
        self.true_rewards[rows] = record.rewards
        self.full = self.full or self.pos + steps >= self.buffer_size
        self.pos = (self.pos + steps) % self.buffer_size
        return rows

    def _scaled(self, actions: np.ndarray) -> np.ndarray:
        """Return actions as the networks read them."""
        space = self.action_space
        if not isinstance(space, spaces.Box):
            return actions
        scaled: np.ndarray = 2 * ((actions - space.low) / (space.high - space.low)) - 1
        return scaled

    def transitions(self, rows: np.ndarray) -> Transitions:
        """Return rows as a flat batch, as the reward reads them."""
        shape = self.observation_space.shape or ()
        return Transitions(
            self.observations[rows].reshape(-1, *shape),
            all_steps(self.acted[rows]),
            self.next_observations[rows].reshape(-1, *shape),
            self.terminated[rows].ravel(),
        )

    def staying(self, rows: np.ndarray) -> tuple[np.ndarray, Transitions]:
        """Return where episodes ended early (rows, copies), and the absorbing steps after them."""
        absorbed = self.absorbing_steps[rows] >= 0
        shape = self.observation_space.shape or ()
        final = self.next_observations[rows][absorbed].reshape(-1, *shape)
        return absorbed, Transitions.absorbing(final, self.acted[rows][absorbed])

    def rows(self) -> np.ndarray:
        """Return all rows in use, oldest first."""
        start = self.pos if self.full else 0
        return (start + np.arange(self.size())) % self.buffer_size

    def buffers(self, true_rewards: bool) -> dict[str, np.ndarray]:
        """Return all transitions as arrays, oldest first, with their true rewards if wanted."""
        rows = self.rows()
        columns = {name: getattr(self, name)[rows] for name in COLUMNS}
        columns["timeouts"] = columns["timeouts"].astype(bool)
        if true_rewards:
            columns["true_rewards"] = self.true_rewards[rows]
        return {PREFIX + name: all_steps(column) for name, column in columns.items()}

    def restore(self, stored: Mapping[str, np.ndarray], true_rewards: bool) -> None:
        """Load the transitions from `buffers`, or the newest ones if there is no room for all."""
        wanted = (*COLUMNS, "true_rewards") if true_rewards else COLUMNS
        if any(PREFIX + name not in stored for name in wanted):
            return
        copies = self.n_envs
        count = min(len(stored[f"{PREFIX}terminated"]) // copies, self.buffer_size)
        columns = {
            name: (array := np.asarray(stored[PREFIX + name]))[
                len(array) - count * copies :
            ].reshape(count, copies, *array.shape[1:])
            for name in wanted
        }
        if count:
            self.add_rollout(
                Record(
                    columns["observations"],
                    columns["next_observations"],
                    columns["acted"],
                    columns["terminated"],
                    columns["timeouts"] | (columns["absorbing_steps"] >= 0),
                    columns.get("true_rewards", np.zeros((count, copies))),
                    absorbing_steps=columns["absorbing_steps"],
                )
            )


class ImageReplay(Replay):
    """A replay buffer whose images are bytes, and are read as rows of numbers from 0 to 1."""

    def _get_samples(
        self, batch_inds: np.ndarray, env: VecNormalize | None = None
    ) -> ReplayBufferSamples:
        samples = super()._get_samples(batch_inds, env)
        observations, next_observations = (
            images.flatten(start_dim=1).float() / 255
            for images in (samples.observations, samples.next_observations)
        )
        return samples._replace(observations=observations, next_observations=next_observations)


def replay_class(own_space: spaces.Space[Any]) -> type[Replay]:
    """Return the replay buffer for observations of a space, before they are flattened."""
    return ImageReplay if is_image(own_space) else Replay
