"""Cutting a record into trajectories, and keeping a bounded sample of them."""

from dataclasses import dataclass

import numpy as np

from rlhf_core.recording import Record, join
from rlhf_core.types import RolloutRewards, Rollouts, Trajectory, TrueRewards

KEPT_STEPS = 65536
"""Steps of one call of an optimiser that are kept for questions, at the most."""


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
        trajectory = record.trajectory(copy, start, stop, self._version)
        place = (self._before + stop, copy)
        paid = TrueRewards(record.rewards[start:stop, copy].copy())
        return _Episode(self._rng.random(), place, trajectory, paid)


@dataclass(frozen=True)
class _Episode:
    key: float
    place: tuple[int, int]
    """The copy's step at which it ended, and the copy."""
    trajectory: Trajectory
    paid: TrueRewards
