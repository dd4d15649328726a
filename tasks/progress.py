"""What a run reports to whoever watches it in this process."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Opened:
    """The run has an identity."""

    run_id: str
    resumed: bool


@dataclass(frozen=True)
class Stage:
    """A stage begins."""

    run_id: str
    name: str
    round: int


@dataclass(frozen=True)
class Steps:
    """Environment steps were taken."""

    run_id: str
    count: int


@dataclass(frozen=True)
class RoundDone:
    """A round is over; totals since the start of the run."""

    run_id: str
    round: int
    steps: int
    labels: int
    true_return: float | None
    """Interquartile mean; None where the environment has no true reward."""


@dataclass(frozen=True)
class Waiting:
    """The run waits for people."""

    run_id: str
    reason: str
    """How many questions are answered."""
    link: str
    """By which people join."""


@dataclass(frozen=True)
class Damaged:
    """Something in the store is not what was written, and is made again."""

    run_id: str
    what: str


@dataclass(frozen=True)
class Noted:
    """Something about the run that whoever watches it should know from the start."""

    run_id: str
    text: str


@dataclass(frozen=True)
class Finished:
    """The run is recorded as finished; what is left to do concerns Prefect alone."""

    run_id: str
    summary: Mapping[str, Any]
    """What `rlhf train --json` prints."""


@dataclass(frozen=True)
class PlannedRun:
    """A run that is to be played, or that there is already."""

    cell: str
    seed: int
    rounds: int
    steps: int
    """Environment steps of the whole run."""
    summary: Mapping[str, Any] | None = None
    """What `rlhf train --json` printed, if it is finished."""


@dataclass(frozen=True)
class Planned:
    """A comparison begins."""

    runs: Sequence[PlannedRun]
    workers: int
    """Runs that are played at the same time."""


@dataclass(frozen=True)
class InCell:
    """Something happened to a run of a comparison."""

    cell: str
    seed: int
    event: "Opened | Stage | Steps | RoundDone | Damaged | Noted | CellEnded"


@dataclass(frozen=True)
class CellEnded:
    """A run of a comparison has ended."""

    summary: Mapping[str, Any] | None
    """None where it failed."""
    reason: str | None
    """Why it failed."""


@dataclass(frozen=True)
class TrialEnded:
    """A trial of a sweep has ended."""

    number: int
    changes: Mapping[str, Any]
    """Its setting, by the path of the field."""
    mean: float | None
    """True return over the seeds that were played."""
    pruned: bool
    """Whether it was given up before the end of its last seed."""
    given_up: str | None
    """Why it was given up in the middle of a run, where it was."""
    reason: str | None
    """Why it failed."""
    trials: int
    """How many there are in all."""


Event = (
    Opened
    | Stage
    | Steps
    | RoundDone
    | Waiting
    | Damaged
    | Noted
    | Finished
    | Planned
    | InCell
    | CellEnded
    | TrialEnded
)
Listener = Callable[[Event], None]

_listeners: ContextVar[tuple[Listener, ...]] = ContextVar("listeners", default=())
"""Of this thread's context, so that runs in two threads report each to its own listeners."""


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Report everything inside the block to a listener."""
    token = _listeners.set((*_listeners.get(), listener))
    try:
        yield
    finally:
        _listeners.reset(token)


@contextmanager
def only(listener: Listener) -> Iterator[None]:
    """Report everything inside the block to a listener, and to no other."""
    token = _listeners.set((listener,))
    try:
        yield
    finally:
        _listeners.reset(token)


def send(event: Event) -> None:
    """Report an event to every listener."""
    for listener in _listeners.get():
        listener(event)
