"""Recording what a batch of environments does, and cutting the record into trajectories."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from gymnasium.vector import VectorEnv

from rlhf_core.errors import ConfigurationError
from rlhf_core.types import RolloutRewards, Rollouts, Trajectory, TrueRewards

Act = Callable[[np.ndarray], np.ndarray]
"""A batch of observations (count, *obs) to a batch of actions (count, *act)."""


@runtime_checkable
class Remembering(Protocol):
    """An `Act` that remembers what it saw of each copy's episode. It begins with nothing."""

    def __call__(self, observations: np.ndarray) -> np.ndarray:
        """The actions; observations are those that follow the ones of the last call."""
        ...

    def forget(self, copies: np.ndarray) -> None:
        """New episodes begin in these copies (a mask)."""
        ...


def begin(act: Act, copies: np.ndarray) -> None:
    """Tell a policy that new episodes begin in these copies (a mask)."""
    if isinstance(act, Remembering):
        act.forget(copies)


@dataclass(frozen=True)
class Record:
    """`steps` consecutive steps of `count` environments; time first, then environment."""

    observations: np.ndarray
    """(steps, count, *obs), before each step."""
    next_observations: np.ndarray
    """(steps, count, *obs), after each step; at the end of an episode its final observation."""
    actions: np.ndarray
    terminated: np.ndarray
    truncated: np.ndarray
    rewards: np.ndarray
    """(steps, count) true rewards."""


class Recorder:
    """Steps a vector environment and remembers every transition, final observations included."""

    def __init__(self, environment: VectorEnv[Any, Any, Any]) -> None:
        self.environment = environment
        self.observation: np.ndarray = np.empty(0)
        self.steps = 0
        self._rows: list[tuple[np.ndarray, ...]] = []

    def reset(self, seeds: list[int]) -> np.ndarray:
        """Start all copies afresh."""
        self.observation, _ = self.environment.reset(seed=seeds)  # type: ignore[arg-type]
        return self.observation

    def step(self, actions: np.ndarray) -> np.ndarray:
        """Step all copies once; returns (count,) which episodes ended."""
        before = self.observation
        after, rewards, terminated, truncated, info = self.environment.step(actions)
        if not np.isfinite(rewards).all():
            name = self.environment.spec.id if self.environment.spec else "the environment"
            raise ConfigurationError(
                f"environment.id: {name} paid {rewards[~np.isfinite(rewards)][0]} in step "
                f"{len(self._rows) + 1} of a rollout; rewards must be finite numbers"
            )
        done: np.ndarray = np.logical_or(terminated, truncated)
        final = after
        if done.any():
            # The batch already shows the next episode's first observation.
            final = after.copy()
            which = np.flatnonzero(done)
            final[which] = np.stack(list(info["final_obs"][which]))
        self._rows.append(
            (before, final, np.array(actions), terminated.copy(), truncated.copy(), rewards.copy())
        )
        self.observation = after
        self.steps += len(done)
        return done

    def cut(self, copies: np.ndarray) -> None:
        """End the episodes of some copies (a mask) after the last step, as a time limit does."""
        truncated = self._rows[-1][4]
        truncated |= copies
        started, _ = self.environment.reset(options={"reset_mask": copies})
        kept = copies.reshape(-1, *[1] * (started.ndim - 1))
        self.observation = np.where(kept, started, self.observation)

    def take(self) -> Record:
        """The record since the last call, and forget it."""
        record = Record(*(np.stack(column) for column in zip(*self._rows, strict=True)))
        self._rows = []
        return record


def join(records: list[Record]) -> Record:
    """Consecutive records of the same environments as one."""
    columns = [[getattr(r, name) for r in records] for name in Record.__dataclass_fields__]
    return Record(*(np.concatenate(column) for column in columns))


def trajectories(record: Record, policy_version: int) -> tuple[Rollouts, RolloutRewards]:
    """Cut a record into trajectories; one still running at the end of it counts as truncated."""
    found, paid = [], []
    steps, count = record.rewards.shape
    done = record.terminated | record.truncated
    for copy in range(count):
        ends = np.flatnonzero(done[:, copy])
        ends = ends if len(ends) and ends[-1] == steps - 1 else np.append(ends, steps - 1)
        start = 0
        for end in ends:
            clip = slice(start, end + 1)
            terminated = bool(record.terminated[end, copy])
            found.append(
                Trajectory(
                    observations=np.concatenate(
                        [record.observations[clip, copy], record.next_observations[end, copy][None]]
                    ),
                    actions=record.actions[clip, copy],
                    terminated=terminated,
                    truncated=not terminated,
                    policy_version=policy_version,
                )
            )
            paid.append(TrueRewards(record.rewards[clip, copy]))
            start = int(end) + 1
    return Rollouts(tuple(found)), RolloutRewards(tuple(paid))


def finished_returns(
    rollouts: Rollouts, rewards: RolloutRewards, horizon: int, count: int
) -> np.ndarray:
    """True returns (E,) of the episodes that came to their end, in the order in which they did.

    Args:
        rollouts: of all environment copies, one copy after the other.
        rewards: what they were paid.
        horizon: steps after which an episode is cut off; an unfinished one is shorter.
        count: environment copies.
    """
    lengths = np.array([len(trajectory) for trajectory in rollouts.trajectories])
    last_steps = (np.cumsum(lengths) - 1) % (rollouts.steps // count)
    return np.array(
        [
            rewards.rewards[index].values.sum()
            for index in np.argsort(last_steps, kind="stable")
            if rollouts.trajectories[index].terminated or lengths[index] >= horizon
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
    begin(act, np.ones(len(seeds), dtype=bool))
    for _ in range(steps):
        begin(act, recorder.step(act(recorder.observation)))
    return trajectories(recorder.take(), policy_version=0)
