"""A generation: all members play at once, each in its own copies of the environment."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from gymnasium.vector import VectorEnv
from jaxtyping import Bool, Float

from rlhf_core.evolution.network import PolicyNetwork
from rlhf_core.evolution.normaliser import Normaliser
from rlhf_core.recording import Record, Recorder
from rlhf_core.rewards import EnvironmentReward, Reward
from rlhf_core.types import Trajectory, Transitions, TrueRewards


@dataclass(frozen=True)
class Generation:
    """What a population did. Copies lie member by member: copy = member * episodes + episode."""

    record: Record
    counted: Bool[np.ndarray, "T copies"]
    """Steps of each copy's first episode."""
    members: int

    @property
    def steps(self) -> int:
        """Environment steps that count."""
        return int(self.counted.sum())

    def member(self, member: int) -> "Generation":
        """What one member did, cut off where its longest episode ends."""
        episodes = self.counted.shape[1] // self.members
        own = slice(member * episodes, (member + 1) * episodes)
        counted = self.counted[:, own]
        time = int(counted.any(axis=1).sum())
        columns = [getattr(self.record, name) for name in Record.__dataclass_fields__]
        # Copied: how numbers lie in memory would decide in which order they are summed.
        record = Record(*(column[:time, own].copy() for column in columns))
        return Generation(record, counted[:time].copy(), 1)

    def transitions(self) -> Transitions:
        """The steps that count, as a flat batch."""
        record, counted = self.record, self.counted
        return Transitions(
            record.observations[counted],
            record.actions[counted],
            record.next_observations[counted],
            record.terminated[counted],
        )

    def fitness(self, reward: Reward) -> tuple[Float[np.ndarray, " P"], float]:
        """Mean return of each member over its episodes, and mean reward of a step.

        A learned reward scores all transitions of all members in one pass.
        """
        record, counted = self.record, self.counted
        if isinstance(reward, EnvironmentReward):
            paid = np.where(counted, record.rewards, 0.0)
        else:
            paid = np.zeros(counted.shape)
            paid[counted] = reward(*self.transitions())
        returns = paid.sum(axis=0).reshape(self.members, -1).mean(axis=1)
        return returns, float(paid.sum() / counted.sum())

    def trajectories(
        self, copies: np.ndarray, policy_version: int
    ) -> tuple[list[Trajectory], list[TrueRewards]]:
        """What some copies did, and what they were paid."""
        found, paid = [], []
        for copy in copies:
            length = int(self.counted[:, copy].sum())
            found.append(self.record.trajectory(int(copy), 0, length, policy_version))
            paid.append(TrueRewards(self.record.rewards[:length, copy].copy()))
        return found, paid


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
        network: what a member's parameters mean.
        normaliser: what is done to observations first.
        population: parameters, one member a row.
        seeds: one an episode, the same for every member: common random numbers.
        horizon: steps after which an episode ends at the latest.
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
