"""The data that flows through an experiment: frozen values, arrays read-only and checked.

Axis letters, the same everywhere:

    T  steps of a trajectory      N  queries                M  ensemble members
    L  steps of a segment         R  judgements (answers)   B  batch (flat transitions)
    S  segments                   W  workers                E  episodes
    D  parameters                 P  population

`obs` and `act` stand for the axes of one observation and one action.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped, UInt8

from rlhf_core.errors import ShapeError

Metrics = Mapping[str, float]


class Value:
    """Base of the data types: makes arrays read-only, checks them, and is known to the store."""

    registry: ClassVar[dict[str, type["Value"]]] = {}
    """Every data type by its name: the store loads these and nothing else."""

    def __init_subclass__(cls) -> None:
        known = Value.registry.setdefault(cls.__name__, cls)
        if known.__module__ != cls.__module__:
            raise TypeError(f"{cls.__module__}.{cls.__name__}: {known.__module__} has that name")

    def __post_init__(self) -> None:
        for field in fields(self):  # type: ignore[arg-type]
            object.__setattr__(self, field.name, _read_only(getattr(self, field.name)))
        self._check()

    def _check(self) -> None:
        """Raise `ShapeError` where the fields do not fit together."""


def _read_only(content: Any) -> Any:
    """Arrays, and mappings of arrays, as views that cannot be written."""
    if isinstance(content, Mapping):
        return {name: _read_only(entry) for name, entry in content.items()}
    if isinstance(content, np.ndarray):
        content = content.view()
        content.flags.writeable = False
    return content


def expect(condition: bool, owner: object, expected: str, actual: object) -> None:
    """Raise `ShapeError` with the one form of message that all data types share."""
    if not condition:
        raise ShapeError(f"{type(owner).__name__}: expected {expected}, actual: {actual}")


def expect_shape(owner: Value, field: str, shape: tuple[int, ...]) -> None:
    """Raise `ShapeError` unless an array field has this shape."""
    actual = getattr(owner, field).shape
    expect(actual == shape, owner, f"{field} of shape {shape}", actual)


@dataclass(frozen=True, eq=False)
class Trajectory(Value):
    """What one policy did in one episode, or in the recorded part of it. No reward."""

    actions: Shaped[np.ndarray, "T *act"]
    observations: Shaped[np.ndarray, "T+1 *obs"]
    terminated: bool
    """The environment ended the episode at the last step."""
    truncated: bool
    """The episode was cut off (time limit or end of the rollout) at the last step."""
    policy_version: int
    start: str | None = None
    """How the episode began, as `environments/episodes.py` writes it; None where that is unknown,
    or where the first step here is not the first one of its episode."""
    frames: UInt8[np.ndarray, "T+1 height width 3"] | None = None
    """A picture of each observation, where the environment records them."""
    absorbing_steps: int = 0
    """Steps that the episode stays in its absorbing state, up to its fixed horizon, after the last
    one here. They are not played: the last observation and action stay, the true reward is 0."""

    def __len__(self) -> int:
        return len(self.actions)

    def finished(self, horizon: int) -> bool:
        """Whether the whole episode is here, which lasts `horizon` steps at the most."""
        return self.terminated or len(self) + self.absorbing_steps >= horizon

    def _check(self) -> None:
        expect(len(self.actions) > 0, self, "at least one step", len(self.actions))
        left = self.absorbing_steps
        expect(left >= 0, self, "a number of absorbing steps", left)
        if self.frames is not None:
            rows = len(self.frames)
            expect(rows == len(self.observations), self, "a frame for each observation", rows)
        expect(
            len(self.observations) == len(self.actions) + 1,
            self,
            f"{len(self.actions) + 1} observations for {len(self.actions)} actions "
            "(the final observation belongs to the trajectory)",
            len(self.observations),
        )


@dataclass(frozen=True, eq=False)
class TrueRewards(Value):
    """Rewards of the environment. Only synthetic annotators, controls and evaluation read them."""

    values: Float[np.ndarray, " ..."]
    """(T,) for a trajectory; (S, L) for segments, 0 where padded."""


@dataclass(frozen=True, eq=False)
class Truth(Value):
    """All that an annotator who knows the true reward may look at in one round."""

    segments: Float[np.ndarray, "S L"]
    """True rewards of the segments that are asked about, 0 where padded."""
    reference: Float[np.ndarray, "Q K"]
    """True rewards of the request's reference segments, 0 where padded."""
    episodes: Float[np.ndarray, " E"]
    """True returns of the episodes that ended in these rollouts, oldest first."""


@dataclass(frozen=True, eq=False)
class Rollouts(Value):
    """The trajectories of one stage. Their true rewards travel apart, in the same order."""

    trajectories: Sequence[Trajectory]

    @property
    def steps(self) -> int:
        """Environment steps in all trajectories together."""
        return sum(len(trajectory) for trajectory in self.trajectories)

    def _check(self) -> None:
        expect(len(self.trajectories) > 0, self, "at least one trajectory", 0)


@dataclass(frozen=True, eq=False)
class RolloutRewards(Value):
    """The true rewards of `Rollouts`, one entry a trajectory."""

    rewards: Sequence[TrueRewards]


@dataclass(frozen=True, eq=False)
class Replays(Value):
    """What is needed to show S clips again: their episodes' starts and actions, or their frames.

    Clip i begins at step `first[i]` of an episode that began as `starts[i]` says and went on with
    `lengths[i]` actions, the last of which is the clip's. With frames the other fields are empty.
    """

    starts: Sequence[str]
    actions: Shaped[np.ndarray, "steps *act"]
    """Of all clips, one after the other."""
    lengths: Int[np.ndarray, " S"]
    first: Int[np.ndarray, " S"]
    frames: UInt8[np.ndarray, "clips rows height width 3"] | None = None
    """L + 1 of each clip; a padded one repeats its last frame."""

    def __len__(self) -> int:
        return len(self.starts) if self.frames is None else len(self.frames)

    def take(self, index: Int[np.ndarray, " K"]) -> "Replays":
        """Those of the clips at these positions, in this order."""
        if self.frames is not None:
            return Replays((), self.actions, self.lengths, self.first, self.frames[index])
        lengths = self.lengths[index]
        # Where the actions of each chosen clip begin here, less where they begin in the result.
        shift = (np.cumsum(self.lengths) - self.lengths)[index] - (np.cumsum(lengths) - lengths)
        rows = np.arange(lengths.sum()) + np.repeat(shift, lengths)
        starts = tuple(self.starts[clip] for clip in index)
        return Replays(starts, self.actions[rows], lengths, self.first[index])

    def joined(self, others: "Replays") -> "Replays | None":
        """These, then others; None where only one side has frames."""
        if (self.frames is None) != (others.frames is None):
            return None
        if self.frames is not None and others.frames is not None:
            frames = np.concatenate([self.frames, others.frames])
            return Replays((), self.actions, self.lengths, self.first, frames)
        return Replays(
            (*self.starts, *others.starts),
            np.concatenate([self.actions, others.actions]),
            np.concatenate([self.lengths, others.lengths]),
            np.concatenate([self.first, others.first]),
        )

    def _check(self) -> None:
        count = len(self.starts)
        expect_shape(self, "lengths", (count,))
        expect_shape(self, "first", (count,))
        steps = int(self.lengths.sum())
        expect(len(self.actions) == steps, self, f"{steps} actions", len(self.actions))


@dataclass(frozen=True, eq=False)
class Segments(Value):
    """Clips of trajectories. A clip of a shorter episode is padded and masked."""

    actions: Shaped[np.ndarray, "S L *act"]
    observations: Shaped[np.ndarray, "S L+1 *obs"]
    terminated: Bool[np.ndarray, "S L"]
    mask: Bool[np.ndarray, "S L"]
    """False where the episode had already ended; such steps count for nothing."""
    origin: Int[np.ndarray, "S 2"]
    """Index of the trajectory in its rollouts, and the first step."""
    replays: Replays | None = None
    """What is needed to show the clips again; None where it was not asked for or is not known."""

    def __len__(self) -> int:
        return len(self.actions)

    @property
    def steps(self) -> int:
        """L, the steps of a segment, padding included."""
        return int(self.actions.shape[1])

    def take(self, index: Int[np.ndarray, " K"]) -> "Segments":
        """The segments at these positions, in this order."""
        return Segments(
            self.actions[index],
            self.observations[index],
            self.terminated[index],
            self.mask[index],
            self.origin[index],
            None if self.replays is None else self.replays.take(index),
        )

    def _check(self) -> None:
        expect(self.mask.ndim == 2, self, "a mask of shape (S, L)", self.mask.shape)
        count, steps = self.mask.shape
        expect(
            self.observations.shape[:2] == (count, steps + 1),
            self,
            f"observations of shape ({count}, {steps + 1}, ...)",
            self.observations.shape,
        )
        expect(
            self.actions.shape[:2] == (count, steps),
            self,
            f"actions of shape ({count}, {steps}, ...)",
            self.actions.shape,
        )
        expect(
            self.terminated.shape == (count, steps),
            self,
            f"terminated of shape ({count}, {steps})",
            self.terminated.shape,
        )
        expect(self.origin.shape == (count, 2), self, f"origin ({count}, 2)", self.origin.shape)
        if self.replays is not None:
            expect(len(self.replays) == count, self, f"{count} replays", len(self.replays))


class Transitions(NamedTuple):
    """Single steps, as a flat batch."""

    observations: Shaped[np.ndarray, "B *obs"]
    actions: Shaped[np.ndarray, "B *act"]
    next_observations: Shaped[np.ndarray, "B *obs"]
    terminated: Bool[np.ndarray, " B"]

    def take(self, index: np.ndarray) -> "Transitions":
        """The transitions at these positions."""
        return Transitions(*(column[index] for column in self))

    def joined(self, others: "Transitions") -> "Transitions":
        """These transitions, then others."""
        columns = zip(self, others, strict=True)
        return Transitions(*(np.concatenate(parts) for parts in columns))

    @staticmethod
    def absorbing(
        observations: Shaped[np.ndarray, "B *obs"], actions: Shaped[np.ndarray, "B *act"]
    ) -> "Transitions":
        """Return steps from absorbing states to themselves, which are no end of an episode."""
        return Transitions(observations, actions, observations, np.zeros(len(actions), dtype=bool))
