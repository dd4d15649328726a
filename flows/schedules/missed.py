"""Times at which nobody served: counted and said, and made up for by one run at most."""

import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta

from flows.schedules import status, times
from flows.schedules.definition import Schedule
from tasks.home import Home

NOTE_SECONDS = 10.0
"""How often is written down that schedules are served."""
GAP = timedelta(seconds=30)
"""Times of a longer pause, in which nobody served or the machine slept, count as missed."""


class MissedTimes:
    """The times of a home's schedules that passed while nobody served."""

    def __init__(self, home: Home, say: Callable[[str], None]) -> None:
        """Nothing was noted yet.

        Args:
            home: whose schedules.
            say: told what was missed.
        """
        self._home, self._say = home, say
        self._noted_at = float("-inf")

    def count(self, schedule: Schedule, now: datetime, made: bool) -> None:
        """Count and say the times at which nobody served.

        Args:
            schedule: whose times.
            now: the moment.
            made: whether a run is made now.
        """
        past = status.read(self._home, schedule.name)
        if past.last_served is None or schedule.paused:
            return
        since = datetime.fromisoformat(past.last_served)
        if now - since < GAP:
            return
        count = times.missed(schedule.cron, schedule.every, schedule.timezone, since, now) - made
        missed = past.missed + max(0, count)
        status.change(self._home, schedule.name, missed=missed, last_served=now.isoformat())
        if count > 0:
            less = "at least " if count >= times.MOST_MISSED - 1 else ""
            then = "one run is made" if made else "none is made up for"
            self._say(
                f"{schedule.name}: missed {less}{count} times since {past.last_served[:19]}; {then}"
            )

    def note_served(self, names: Iterable[str]) -> None:
        """Write down now and then that schedules are served."""
        if time.monotonic() - self._noted_at >= NOTE_SECONDS:
            self._noted_at = time.monotonic()
            for name in names:
                status.change(self._home, name, last_served=datetime.now(UTC).isoformat())
