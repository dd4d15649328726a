"""What a run tells whoever watches it in this process."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(frozen=True)
class Opened:
    """The run has an identity."""

    run_id: str
    resumed: bool


@dataclass(frozen=True)
class Stage:
    """A stage begins."""

    name: str
    round: int


@dataclass(frozen=True)
class Steps:
    """Environment steps were taken."""

    count: int


@dataclass(frozen=True)
class RoundDone:
    """A round is over; totals since the start of the run."""

    round: int
    steps: int
    labels: int
    true_return: float


Event = Opened | Stage | Steps | RoundDone
Listener = Callable[[Event], None]

_listeners: list[Listener] = []


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Be told of everything inside the block."""
    _listeners.append(listener)
    try:
        yield
    finally:
        _listeners.remove(listener)


def tell(event: Event) -> None:
    """Tell every listener."""
    for listener in _listeners:
        listener(event)
