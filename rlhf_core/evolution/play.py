"""One generation: all members act at once, each in its own copies of the environment."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from gymnasium.vector import VectorEnv
from jaxtyping import Bool, Float

from rlhf_core.evolution.network import PolicyNetwork
from rlhf_core.finite import check_arrays
from rlhf_core.normaliser import Normaliser
from rlhf_core.recording import Record, Recorder
from rlhf_core.rewards import EnvironmentReward, Reward
from rlhf_core.rewards.absorbing import staying, staying_rewards
from rlhf_core.types import Trajectory, Transitions, TrueRewards


@dataclass(frozen=True)
class Generation:
    """Episodes of a population; copy = member * episodes + episode."""

    record: Record
    counted: Bool[np.ndarray, "T copies"]
    """Steps of each copy's first episode."""
    members: int

    @property
    def steps(self) -> int:
        """Environment steps that count."""
        return int(self.counted.sum())

    def member(self, member: int) -> "Generation":
        """Return the episodes of one member, cut off where its longest episode ends."""
        episodes = self.counted.shape[1] // self.members
        own = slice(member * episodes, (member + 1) * episodes)
        counted = self.counted[:, own]
        time = int(counted.any(axis=1).sum())
        columns = [getattr(self.record, name) for name in Record.__dataclass_fields__]
        # Copied, because the layout of an array decides the order in which NumPy sums it.
        record = Record(*(column[:time, own].copy() for column in columns))
        return Generation(record, counted[:time].copy(), 1)

    def transitions(self) -> Transitions:
        """Return the steps that count as a flat batch."""
        record, counted = self.record, self.counted
        return Transitions(
            record.observations[counted],
            record.actions[counted],
            record.next_observations[counted],
            record.terminated[counted],
        )

    def observed_transitions(self) -> Transitions:
        """Return the steps that a reward learns from: those that count, and one an early end."""
        record = self.record
        ends = staying(record).take(self.counted[record.absorbing_steps >= 0])
        return self.transitions().joined(ends)

    def fitness(self, reward: Reward) -> tuple[Float[np.ndarray, " P"], float]:
        """Return each member's mean return over its episodes, and the mean reward of a step.

        A learned reward is computed for all transitions of all members in one batch. Returns count
        the absorbing steps of an episode that ended before its fixed horizon.
        """
        record, counted = self.record, self.counted
        if isinstance(reward, EnvironmentReward):
            rewards = np.where(counted, record.rewards, 0.0)
        else:
            rewards = np.zeros(counted.shape)
            rewards[counted] = reward(*self.transitions())
        absorbed = record.absorbing_steps >= 0
        left = np.where(absorbed & counted, record.absorbing_steps, 0)
        rewards[absorbed] += staying_rewards(reward, staying(record)) * left[absorbed]
        returns = rewards.sum(axis=0).reshape(self.members, -1).mean(axis=1)
        check_arrays({"fitness": returns}, "optimiser: returns of the members", "see the reward")
        return returns, float(rewards.sum() / (counted.sum() + left.sum()))

    def trajectories(
        self, copies: np.ndarray, policy_version: int
    ) -> tuple[list[Trajectory], list[TrueRewards]]:
        """Return the trajectories of some copies, and their true rewards."""
        trajectories, rewards = [], []
        for copy in copies:
            length = int(self.counted[:, copy].sum())
            trajectories.append(self.record.trajectory(int(copy), 0, length, policy_version))
            rewards.append(TrueRewards(self.record.rewards[:length, copy].copy()))
        return trajectories, rewards


def play(
    environment: VectorEnv[Any, Any, Any],
    network: PolicyNetwork,
    normaliser: Normaliser,
    population: Float[np.ndarray, "P D"],
    seeds: list[int],
    horizon: int,
) -> Generation:
    """Play the first episode of every copy.

    Args:
        environment: members * episodes copies.
        network: computes actions from the parameters of a member.
        normaliser: normalises the features of observations.
        population: parameters, one member a row.
        seeds: one an episode, the same for every member (common random numbers).
        horizon: largest number of steps of an episode.
    """
    members, episodes = len(population), len(seeds)
    layers = network.layers(population)
    recorder = Recorder(environment)
    recorder.reset(seeds * members)
    running = np.ones(members * episodes, dtype=bool)
    counted: list[np.ndarray] = []
    while running.any() and len(counted) < horizon:
        features = normaliser(network.features(recorder.observation))
        outputs = network.outputs(layers, features.reshape(members, episodes, -1))
        done = recorder.step(network.actions(outputs.reshape(members * episodes, -1)))
        counted.append(running)
        running = running & ~done
    return Generation(recorder.take(), np.stack(counted), members)
