"""Which of the runs that are due is played: at most one, and for each other one the reason.

A pure function of what is due and what goes on, of one schedule at one moment:

====================  ==========================================================================
a run that was begun  goes on first: whoever played it was ended in the middle
several times due     the newest is played; the others were missed while nobody served
due while one goes    overlap `skip`: the new one is skipped; `cancel`: the old one is cancelled
====================  ==========================================================================
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal
from uuid import UUID


@dataclass(frozen=True)
class Due:
    """A flow run whose time has come."""

    flow_run_id: UUID
    scheduled: datetime
    begun: bool = False
    """Whether it was played before and interrupted."""


@dataclass(frozen=True)
class Decision:
    """What becomes of the runs of one schedule."""

    start: UUID | None = None
    cancel: bool = False
    """Whether the run that goes on is cancelled first."""
    skipped: tuple[UUID, ...] = ()
    """Due while another run went on."""
    missed: tuple[UUID, ...] = ()
    """Due while nobody served, and followed by a later time."""
    replaced: tuple[UUID, ...] = field(default=())
    """Interrupted before, and not gone on with, because a newer one cancels them."""


def decide(due: Sequence[Due], active: bool, overlap: Literal["skip", "cancel"]) -> Decision:
    """What becomes of runs that are due.

    Args:
        due: runs of one schedule whose time has come.
        active: whether a run of the schedule goes on.
        overlap: what is done when a time comes while a run goes on.
    """
    begun = sorted((run for run in due if run.begun), key=lambda run: run.scheduled)
    new = sorted((run for run in due if not run.begun), key=lambda run: run.scheduled)
    missed = tuple(run.flow_run_id for run in new[:-1])
    newest = new[-1].flow_run_id if new else None
    resumable = tuple(run.flow_run_id for run in begun)
    if overlap == "cancel" and newest is not None:
        return Decision(newest, active, missed=missed, replaced=resumable)
    if active or resumable:
        # Of several that were interrupted, one goes on at a time.
        start = None if active else resumable[0]
        return Decision(start, skipped=() if newest is None else (newest,), missed=missed)
    return Decision(newest, missed=missed)
