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

KEPT_STEPS = 65536
"""Steps of one call of an optimiser that are kept for questions, at the most."""


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
    """Cut a record into trajectories, in the order in which they end.

    One still running at the end of the record counts as truncated.
    """
    kept = Kept(record.rewards.size, policy_version, np.random.default_rng(0))
    kept.add(record)
    return kept.trajectories()


class Kept:
    """A bounded part of what a policy does: all of it, or whole episodes drawn by a reservoir.

    Every finished episode draws a random key, and those with the smallest keys stay: at any time
    a sample of all episodes so far, each as likely as the others (Vitter 1985,
    doi:10.1145/3147.3165). Episodes that are still running are kept beside them.
    """

    def __init__(self, limit: int, policy_version: int, rng: np.random.Generator) -> None:
        """Nothing yet.

        Args:
            limit: environment steps of finished episodes, at the most.
            policy_version: of all trajectories.
            rng: draws the keys; it is split, so that its own draws stay what they were.
        """
        self._limit, self._version = limit, policy_version
        self._rng = rng.spawn(1)[0]
        self._records: list[Record] = []
        self._starts = np.empty(0, dtype=np.int64)
        """(count,) where in the records a copy's running episode began."""
        self._before = 0
        """Steps of each copy that were taken before the records."""
        self._finished: list[_Episode] = []

    def add(self, record: Record) -> None:
        """Take what the same environments did next."""
        if not self._records:
            self._starts = np.zeros(record.rewards.shape[1], dtype=np.int64)
        self._records.append(record)
        if sum(part.rewards.size for part in self._records) > self._limit:
            self._cut()

    def trajectories(self) -> tuple[Rollouts, RolloutRewards]:
        """Finished episodes and the parts of those that are running, by the time of their end."""
        self._cut()
        (record,) = self._records
        last = len(record.rewards)
        running = [
            self._episode(record, copy, int(start), last)
            for copy, start in enumerate(self._starts)
            if start < last
        ]
        found = sorted([*self._finished, *running], key=lambda episode: episode.place)
        return (
            Rollouts(tuple(episode.trajectory for episode in found)),
            RolloutRewards(tuple(episode.paid for episode in found)),
        )

    def _cut(self) -> None:
        """Take finished episodes out of the records."""
        record = join(self._records)
        for end, copy in np.argwhere(record.terminated | record.truncated).tolist():
            if end < self._starts[copy]:
                # Taken out before; other copies' episodes still run.
                continue
            found = self._episode(record, copy, int(self._starts[copy]), end + 1)
            self._finished.append(found)
            self._starts[copy] = end + 1
        self._finished.sort(key=lambda episode: episode.key)
        taken = np.cumsum([len(episode.trajectory) for episode in self._finished])
        room = int(np.searchsorted(taken, self._limit, side="right"))
        del self._finished[max(room, 1) :]
        past = int(self._starts.min())
        self._records = [Record(*(column[past:] for column in vars(record).values()))]
        self._starts -= past
        self._before += past

    def _episode(self, record: Record, copy: int, start: int, stop: int) -> "_Episode":
        """A part of the record; what it does not share memory with may be forgotten."""
        clip = slice(start, stop)
        final = record.next_observations[stop - 1, copy][None]
        terminated = bool(record.terminated[stop - 1, copy])
        trajectory = Trajectory(
            observations=np.concatenate([record.observations[clip, copy], final]),
            actions=record.actions[clip, copy].copy(),
            terminated=terminated,
            truncated=not terminated,
            policy_version=self._version,
        )
        place = (self._before + stop, copy)
        paid = TrueRewards(record.rewards[clip, copy].copy())
        return _Episode(self._rng.random(), place, trajectory, paid)


@dataclass(frozen=True)
class _Episode:
    key: float
    place: tuple[int, int]
    """The copy's step at which it ended, and the copy."""
    trajectory: Trajectory
    paid: TrueRewards


def finished_returns(rollouts: Rollouts, rewards: RolloutRewards, horizon: int) -> np.ndarray:
    """True returns (E,) of the episodes that came to their end, in the order in which they did.

    Args:
        rollouts: by the time of their end.
        rewards: what they were paid.
        horizon: steps after which an episode is cut off; an unfinished one is shorter.
    """
    return np.array(
        [
            paid.values.sum()
            for trajectory, paid in zip(rollouts.trajectories, rewards.rewards, strict=True)
            if trajectory.terminated or len(trajectory) >= horizon
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
