"""Cutting a record into trajectories, and a reservoir that holds a bounded sample of them."""

from dataclasses import dataclass

import numpy as np

from rlhf_core.recording import Record, join
from rlhf_core.types import RolloutRewards, Rollouts, Trajectory, TrueRewards

RESERVOIR_STEPS = 65536
"""Largest number of steps of one call of an optimiser that questions are cut from."""


def trajectories(record: Record, policy_version: int) -> tuple[Rollouts, RolloutRewards]:
    """Cut a record into trajectories, in the order in which they end.

    A trajectory that still runs at the end of the record counts as truncated.
    """
    reservoir = Reservoir(record.rewards.size, policy_version, np.random.default_rng(0))
    reservoir.add(record)
    return reservoir.trajectories()


class Reservoir:
    """A bounded sample of a policy's trajectories: all of them, or whole episodes at random.

    Every finished episode draws a random key, and the reservoir holds those with the smallest keys:
    at any time a sample in which all episodes so far are equally likely (Vitter 1985,
    doi:10.1145/3147.3165). Episodes that are still running are held in full beside them.
    """

    def __init__(self, limit: int, policy_version: int, rng: np.random.Generator) -> None:
        """Make an empty reservoir.

        Args:
            limit: environment steps of finished episodes, at the most.
            policy_version: of all trajectories.
            rng: the keys are drawn from a generator that is spawned from it, so that its own draws
                do not change.
        """
        self._limit, self._version = limit, policy_version
        self._rng = rng.spawn(1)[0]
        self._records: list[Record] = []
        self._starts = np.empty(0, dtype=np.int64)
        """(count,) the step of the records at which each copy's running episode began."""
        self._before = 0
        """Steps of each copy that were taken before the records."""
        self._finished: list[_Episode] = []

    def add(self, record: Record) -> None:
        """Add the next steps of the same environments."""
        if not self._records:
            self._starts = np.zeros(record.rewards.shape[1], dtype=np.int64)
        self._records.append(record)
        if sum(part.rewards.size for part in self._records) > self._limit:
            self._cut()

    def trajectories(self) -> tuple[Rollouts, RolloutRewards]:
        """Return the sample and the parts of running episodes, ordered by their end."""
        self._cut()
        (record,) = self._records
        last = len(record.rewards)
        running = [
            self._episode(record, copy, int(start), last)
            for copy, start in enumerate(self._starts)
            if start < last
        ]
        episodes = sorted([*self._finished, *running], key=lambda episode: episode.end)
        return (
            Rollouts(tuple(episode.trajectory for episode in episodes)),
            RolloutRewards(tuple(episode.rewards for episode in episodes)),
        )

    def _cut(self) -> None:
        """Move finished episodes from the records to the sample."""
        record = join(self._records)
        for end, copy in np.argwhere(record.terminated | record.truncated).tolist():
            if end < self._starts[copy]:
                # It was moved before; other copies' episodes still run.
                continue
            self._finished.append(self._episode(record, copy, int(self._starts[copy]), end + 1))
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
        """Copy one episode out of the record, so that the rest of it can be freed."""
        trajectory = record.trajectory(copy, start, stop, self._version)
        rewards = TrueRewards(record.rewards[start:stop, copy].copy())
        return _Episode(self._rng.random(), (self._before + stop, copy), trajectory, rewards)


@dataclass(frozen=True)
class _Episode:
    key: float
    end: tuple[int, int]
    """The copy's step at which it ended, and the copy."""
    trajectory: Trajectory
    rewards: TrueRewards
