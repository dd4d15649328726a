"""What happened to a run, as it is sent."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from tasks.addresses import masked


class Event(StrEnum):
    """What a notification can be about."""

    PROMOTED = "promoted"
    """A challenger became champion."""
    REFUSED = "refused"
    """A challenger did not pass the gate."""
    DRIFTED = "drifted"
    """The champion's environment has changed."""
    FAILED = "failed"
    """A flow failed, or its process died."""
    FINISHED = "finished"
    """A training or a comparison is done."""
    WAITING = "waiting"
    """A run waits for answers of people."""
    TEST = "test"
    """Nothing happened; `rlhf notify test` sent it."""


@dataclass(frozen=True)
class Notice:
    """One event, with all that a reader needs to look at it."""

    event: Event
    title: str
    """One line."""
    text: str
    """Details; secrets of addresses are masked when it is sent."""
    flow: str
    """train, compare or retrain."""
    schedule: str | None = None
    """Name of the schedule; None where a person started the flow."""
    run_id: str | None = None
    """In MLflow."""
    model: str | None = None
    """Registered model, of a retraining."""
    version: int | None = None
    """Of the challenger."""
    reasons: Sequence[str] = ()

    def content(self) -> dict[str, Any]:
        """As JSON, without secrets."""
        content = asdict(self)
        return {
            **content,
            "event": str(self.event),
            "title": masked(self.title),
            "text": masked(self.text),
            "reasons": [masked(reason) for reason in self.reasons],
        }
