"""Demonstrations: whole episodes of an expert, and what is cloned from them."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped

from rlhf_core.judgements import Agreement, Entries, Judgements
from rlhf_core.labels import Columns
from rlhf_core.questions import Queries
from rlhf_core.types import Trajectory, Transitions, expect, expect_shape


@dataclass(frozen=True, eq=False)
class Demonstrations(Judgements):
    """E episodes end to end, with the time and the price of each."""

    observations: Shaped[np.ndarray, "rows *obs"]
    """Each episode has one more than it has steps."""
    actions: Shaped[np.ndarray, "steps *act"]
    lengths: Int[np.ndarray, " E"]
    terminated: Bool[np.ndarray, " E"]
    seconds: Float[np.ndarray, " E"]
    """Time that each demonstration took."""
    cost: Float[np.ndarray, " E"]
    """Price of each demonstration."""

    def __len__(self) -> int:
        return len(self.lengths)

    @property
    def labels(self) -> int:
        """One an episode."""
        return len(self)

    @property
    def skipped(self) -> int:
        """Nobody passes a demonstration."""
        return 0

    def moved(self, clips: int, queries: int) -> "Demonstrations":
        """Episodes point to no clip."""
        return self

    def orders(self) -> None:
        """Episodes put no clips in order."""

    def agreement(self, queries: Queries | None, returns: Float[np.ndarray, " S"]) -> Agreement:
        """Episodes put no clips in order."""
        return Agreement(0.0, 0.0)

    def entries(self, queries: Queries | None) -> Entries:
        """The number of the episode, and its steps."""
        numbers = [str(number) for number in range(len(self))]
        steps = [f"{length} steps" for length in self.lengths.tolist()]
        return Entries(numbers, steps, np.zeros(len(self), dtype=np.int64))

    def columns(self) -> Columns:
        """The episodes as a table."""
        return {
            "episode": np.arange(len(self)),
            "steps": self.lengths,
            "terminated": self.terminated,
            "seconds": self.seconds,
            "cost": self.cost,
        }

    def transitions(self) -> Transitions:
        """Return all steps as a flat batch."""
        ends = np.cumsum(self.lengths + 1)
        before, after = (np.ones(len(self.observations), dtype=bool) for _ in range(2))
        before[ends - 1] = False
        after[ends - self.lengths - 1] = False
        terminated = np.zeros(len(self.actions), dtype=bool)
        terminated[np.cumsum(self.lengths) - 1] = self.terminated
        return Transitions(
            self.observations[before], self.actions, self.observations[after], terminated
        )

    def trajectories(self) -> list[Trajectory]:
        """Return the episodes one by one."""
        observations = np.split(self.observations, np.cumsum(self.lengths + 1)[:-1])
        actions = np.split(self.actions, np.cumsum(self.lengths)[:-1])
        return [
            Trajectory(a, o, bool(ended), not ended, policy_version=0)
            for o, a, ended in zip(observations, actions, self.terminated, strict=True)
        ]

    def episodes(self, start: int, stop: int) -> "Demonstrations":
        """Return episodes `start` to `stop` (exclusive)."""
        rows = np.concatenate([[0], np.cumsum(self.lengths + 1)])
        steps = np.concatenate([[0], np.cumsum(self.lengths)])
        start, stop = min(start, len(self)), min(stop, len(self))
        return Demonstrations(
            self.observations[rows[start] : rows[stop]],
            self.actions[steps[start] : steps[stop]],
            *(
                column[start:stop]
                for column in (self.lengths, self.terminated, self.seconds, self.cost)
            ),
        )

    def joined(self, others: "Demonstrations") -> "Demonstrations":
        """Return these episodes followed by others."""
        return Demonstrations(
            *(
                np.concatenate([getattr(self, name), getattr(others, name)])
                for name in Demonstrations.__dataclass_fields__
            )
        )

    def _check(self) -> None:
        steps, episodes = int(self.lengths.sum()), len(self.lengths)
        expect(len(self.actions) == steps, self, f"{steps} actions", len(self.actions))
        rows = len(self.observations)
        expect(rows == steps + episodes, self, f"{steps + episodes} observations", rows)
        for name in ("terminated", "seconds", "cost"):
            expect_shape(self, name, (episodes,))


CLONING_BATCH = 128
"""Steps of demonstrations in a gradient step of a clone."""
CLONING_UPDATES = 3000
"""Gradient steps of a clone, where nothing else is asked for."""


@dataclass(frozen=True)
class Cloning:
    """Demonstrations that a policy is trained to imitate, before or instead of an optimisation."""

    demonstrations: Transitions
    passes: int | None
    """Over the demonstrations; None: as many as make 3,000 gradient steps."""
    only: bool
    """Whether the policy is not optimised afterwards."""

    @property
    def epochs(self) -> int:
        """Passes over the demonstrations."""
        batches = ceil(len(self.demonstrations.actions) / CLONING_BATCH)
        return self.passes or ceil(CLONING_UPDATES / batches)


def demonstrations(
    trajectories: Sequence[Trajectory], seconds: float = 0.0, cost: float = 0.0
) -> Demonstrations:
    """Return trajectories as demonstrations, each with this time and this price."""
    count = len(trajectories)
    return Demonstrations(
        np.concatenate([t.observations for t in trajectories]),
        np.concatenate([t.actions for t in trajectories]),
        np.array([len(t) for t in trajectories]),
        np.array([t.terminated for t in trajectories]),
        np.full(count, float(seconds)),
        np.full(count, float(cost)),
    )
