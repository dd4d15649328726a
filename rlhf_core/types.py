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
from enum import IntEnum
from typing import Any, ClassVar, TypeVar

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped

from rlhf_core.errors import ShapeError

Metrics = Mapping[str, float]


class Choice(IntEnum):
    """What a worker can say of a pair."""

    LEFT = 0
    RIGHT = 1
    EQUAL = 2
    SKIP = 3


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
    """What one policy did in one episode, or in the part of it that was seen. No reward."""

    actions: Shaped[np.ndarray, "T *act"]
    observations: Shaped[np.ndarray, "T+1 *obs"]
    terminated: bool
    """The environment ended the episode at the last step."""
    truncated: bool
    """The episode was cut off (time limit or end of the rollout) at the last step."""
    policy_version: int

    def __len__(self) -> int:
        return len(self.actions)

    def _check(self) -> None:
        expect(len(self.actions) > 0, self, "at least one step", len(self.actions))
        expect(
            len(self.observations) == len(self.actions) + 1,
            self,
            f"{len(self.actions) + 1} observations for {len(self.actions)} actions "
            "(the final observation belongs to the trajectory)",
            len(self.observations),
        )


@dataclass(frozen=True, eq=False)
class TrueRewards(Value):
    """What the environment paid. Only synthetic annotators, controls and evaluation see it."""

    values: Float[np.ndarray, " ..."]
    """(T,) for a trajectory; (S, L) for segments, 0 where padded."""


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
class Segments(Value):
    """Clips of trajectories. A clip of a shorter episode is padded and masked."""

    actions: Shaped[np.ndarray, "S L *act"]
    observations: Shaped[np.ndarray, "S L+1 *obs"]
    terminated: Bool[np.ndarray, "S L"]
    mask: Bool[np.ndarray, "S L"]
    """False where the episode had already ended; such steps count for nothing."""
    origin: Int[np.ndarray, "S 2"]
    """Index of the trajectory in its rollouts, and the first step."""

    def __len__(self) -> int:
        return len(self.actions)

    @property
    def steps(self) -> int:
        """L, the steps of a segment, padding included."""
        return int(self.actions.shape[1])

    def take(self, index: Int[np.ndarray, " K"]) -> "Segments":
        """The segments at these positions, in this order."""
        return Segments(*(np.asarray(getattr(self, field.name))[index] for field in fields(self)))

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


@dataclass(frozen=True, eq=False)
class Queries(Value):
    """Pairs of segments to be compared."""

    pair: Int[np.ndarray, "N 2"]
    """Positions in `Segments`: left, right."""

    def __len__(self) -> int:
        return len(self.pair)

    def _check(self) -> None:
        expect_shape(self, "pair", (len(self.pair), 2))


@dataclass(frozen=True, eq=False)
class Request(Value):
    """What a feedback strategy asks in one round. With no queries it asks nothing."""

    segments: Segments
    """The segments that the queries speak of."""
    queries: Queries
    reference: Segments
    """An unlabelled sample of what the policy does now; reward scales are set on it."""

    def _check(self) -> None:
        if len(self.queries):
            top = int(self.queries.pair.max())
            expect(
                int(self.queries.pair.min()) >= 0 and top < len(self.segments),
                self,
                f"pairs that point into the {len(self.segments)} segments",
                top,
            )


@dataclass(frozen=True, eq=False)
class Annotations(Value):
    """Who answered which query, how, how long it took (s) and what it cost."""

    query: Int[np.ndarray, " R"]
    worker: Int[np.ndarray, " R"]
    choice: Int[np.ndarray, " R"]
    seconds: Float[np.ndarray, " R"]
    cost: Float[np.ndarray, " R"]

    def __len__(self) -> int:
        return len(self.query)

    def _check(self) -> None:
        for name in ("worker", "choice", "seconds", "cost"):
            expect_shape(self, name, (len(self.query),))
        known = np.isin(self.choice, list(Choice))
        expect(
            bool(known.all()),
            self,
            f"choices among {[c.value for c in Choice]}",
            self.choice[~known][:5],
        )


@dataclass(frozen=True, eq=False)
class Preferences(Value):
    """Soft labels on pairs, ready for the reward fit."""

    pair: Int[np.ndarray, "N 2"]
    target: Float[np.ndarray, " N"]
    """P(right preferred), in [0, 1]; 0.5 is a tie."""
    weight: Float[np.ndarray, " N"]
    """How much the label counts, >= 0."""

    def __len__(self) -> int:
        return len(self.pair)

    def _check(self) -> None:
        expect_shape(self, "pair", (len(self.pair), 2))
        expect_shape(self, "target", (len(self.pair),))
        expect_shape(self, "weight", (len(self.pair),))
        in_range = bool(((self.target >= 0) & (self.target <= 1)).all())
        expect(in_range, self, "targets in [0, 1]", self.target)
        expect(bool((self.weight >= 0).all()), self, "weights >= 0", self.weight)


@dataclass(frozen=True, eq=False)
class Evaluation(Value):
    """True returns and lengths of evaluation episodes."""

    returns: Float[np.ndarray, " E"]
    lengths: Int[np.ndarray, " E"]
    succeeded: Bool[np.ndarray, " E"] | None = None
    """`info["is_success"]` of the last step, where the environment tells it."""

    def _check(self) -> None:
        expect_shape(self, "lengths", (len(self.returns),))
        if self.succeeded is not None:
            expect_shape(self, "succeeded", (len(self.returns),))


V = TypeVar("V", Segments, Annotations, Preferences)


def concatenate(first: V, second: V) -> V:
    """Join two values of one type along their first axis."""
    columns: list[Any] = [
        np.concatenate([getattr(first, field.name), getattr(second, field.name)])
        for field in fields(first)
    ]
    return type(first)(*columns)
