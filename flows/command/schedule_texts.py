"""Schedules as `rlhf schedule` prints them."""

from dataclasses import asdict
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import typer

from flows.command.playing import option

if TYPE_CHECKING:
    from flows.schedules.definition import Schedule
    from flows.schedules.status import Status
    from tasks.home import Home

NEXT = 3
"""Times that are shown."""


def content(one: "Schedule", past: "Status") -> dict[str, Any]:
    """A schedule and its past as `--json` prints them."""
    coming = [] if one.paused else [time.isoformat() for time in following(one, NEXT)]
    return {**one.model_dump(mode="json"), "next": coming, "past": asdict(past)}


def following(one: "Schedule", count: int) -> list[datetime]:
    """The next times, in UTC."""
    from flows.schedules import times

    coming = times.times(one.cron, one.every, one.timezone, datetime.now(UTC))
    return list(islice(coming, count))


def next_times(one: "Schedule", count: int) -> list[str]:
    """The next times in the zone of the schedule."""
    zone = ZoneInfo(one.timezone)
    return [f"{time.astimezone(zone):%Y-%m-%d %H:%M:%S %Z}" for time in following(one, count)]


def next_text(one: "Schedule", count: int = 1) -> str:
    """The next times in one cell of a table."""
    return "paused" if one.paused else ", ".join(next_times(one, count))


def last_text(past: "Status") -> str:
    """How the last run ended, in one cell of a table."""
    if past.playing:
        return "goes on now"
    if past.state is None or past.ended is None:
        return "-"
    value = "" if past.true_return is None else f" {past.true_return:,.1f}"
    return f"{past.state.lower()}{value} {past.ended[:16].replace('T', ' ')} UTC"


def behind(link: str) -> str:
    """What to say after a link that lacks the address of a server."""
    return "" if "://" in link else " (behind the address that `rlhf ui` prints)"


def hint(place: "Home", home: Path | None) -> None:
    """Say how to serve the schedules, where nobody does."""
    from flows.command import display
    from flows.schedules import status

    if not status.is_served(place):
        typer.echo(f"nobody serves them now: {display.program()} serve{option(home)}", err=True)
