"""Demonstrations: whole episodes of an expert."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped

from rlhf_core.judgements import Agreement, Entries, Judgements
from rlhf_core.labels import Columns
from rlhf_core.questions import Queries
from rlhf_core.types import Trajectory, Transitions, expect, expect_shape


def _no_episodes() -> np.ndarray:
    return np.empty(0, dtype=int)


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
    absorbing_steps: Int[np.ndarray, " E"] = field(default_factory=_no_episodes)
    """Steps in an absorbing state that follow each episode; 0 where nothing else is said."""

    def __post_init__(self) -> None:
        if not len(self.absorbing_steps):
            object.__setattr__(self, "absorbing_steps", np.zeros(len(self.lengths), dtype=int))
        super().__post_init__()

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

    def observed_transitions(self) -> Transitions:
        """Return the steps that a reward learns from: those played, and one an absorbing state."""
        played, absorbed = self.transitions(), self.absorbing_steps > 0
        final = self.observations[np.cumsum(self.lengths + 1) - 1][absorbed]
        last = self.actions[np.cumsum(self.lengths) - 1][absorbed]
        return played.joined(Transitions.absorbing(final, last))

    def trajectories(self) -> list[Trajectory]:
        """Return the episodes one by one."""
        observations = np.split(self.observations, np.cumsum(self.lengths + 1)[:-1])
        actions = np.split(self.actions, np.cumsum(self.lengths)[:-1])
        ends = zip(self.terminated.tolist(), self.absorbing_steps.tolist(), strict=True)
        return [
            Trajectory(a, o, ended, not ended, policy_version=0, absorbing_steps=absorbing)
            for o, a, (ended, absorbing) in zip(observations, actions, ends, strict=True)
        ]

    def episodes(self, start: int, stop: int) -> "Demonstrations":
        """Return episodes `start` to `stop` (exclusive)."""
        rows = np.concatenate([[0], np.cumsum(self.lengths + 1)])
        steps = np.concatenate([[0], np.cumsum(self.lengths)])
        start, stop = min(start, len(self)), min(stop, len(self))
        columns = (self.lengths, self.terminated, self.seconds, self.cost, self.absorbing_steps)
        return Demonstrations(
            self.observations[rows[start] : rows[stop]],
            self.actions[steps[start] : steps[stop]],
            *(column[start:stop] for column in columns),
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
        for name in ("terminated", "seconds", "cost", "absorbing_steps"):
            expect_shape(self, name, (episodes,))


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
        np.array([t.absorbing_steps for t in trajectories]),
    )
