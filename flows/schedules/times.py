"""When a schedule fires: cron and intervals in a time zone, by the code of Prefect's server."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from zoneinfo import ZoneInfo, available_timezones

from rlhf_core.errors import ConfigurationError
from rlhf_core.plugin import closest
from rlhf_core.texts import shortened

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
"""Seconds of the units of an interval."""
SHORTEST = timedelta(seconds=10)
LONGEST = timedelta(days=366)
ANCHOR = datetime(2024, 1, 1)
"""A Monday, in the schedule's time zone. Intervals are counted from it: `6h` fires at 0,
6, 12 and 18 o'clock, `1w` on Mondays."""
MOST_MISSED = 1000
"""Missed times that are counted."""


def parse_interval(text: str) -> timedelta:
    """An interval such as `90s`, `5m`, `6h`, `1d` or `2w`.

    Raises:
        ConfigurationError: it is none, or is shorter than 10 seconds or longer than a year.
    """
    match = re.fullmatch(r"([1-9][0-9]{0,8})([smhdw])", text)
    every = timedelta(seconds=int(match[1]) * UNITS[match[2]]) if match else None
    if every is None or not SHORTEST <= every <= LONGEST:
        raise ConfigurationError(
            "every: expected a number and one of s, m, h, d, w, such as 6h, from 10s to 366d, "
            f"actual: '{shortened(text)}'"
        )
    return every


def check_cron(text: str) -> None:
    """Raise `ConfigurationError` where a text is no cron expression with five fields."""
    from prefect.client.schemas.schedules import CronSchedule
    from pydantic import ValidationError

    try:
        CronSchedule(cron=text)
        right = len(text.split()) == 5
    except ValidationError:
        right = False
    if not right:
        raise ConfigurationError(
            "cron: expected five fields, minute (0-59) hour (0-23) day (1-31) month (1-12) weekday "
            '(0-7), such as "0 3 * * *" '
            f"(every night at three), actual: '{shortened(text)}'"
        )


def check_timezone(name: str) -> None:
    """Raise `ConfigurationError`, with the nearest name, where a time zone is not known."""
    known = available_timezones()
    if name in known:
        return
    near = closest(name, sorted(known))
    hint = f"; did you mean '{near}'?" if near else ""
    raise ConfigurationError(
        "timezone: expected the name of a time zone such as Europe/Vienna, actual: "
        f"'{shortened(name)}'{hint}"
    )


def anchor(timezone: str) -> datetime:
    """The moment that intervals are counted from."""
    return ANCHOR.replace(tzinfo=ZoneInfo(timezone)).astimezone(UTC)


def times(
    cron: str | None, every: str | None, timezone: str, after: datetime
) -> Iterator[datetime]:
    """The times of a schedule after a moment, in UTC, one after the other without end.

    The hours of a cron expression are those of the time zone. An interval is time that elapses:
    `1d` is 24 hours, also when clocks change.
    """
    from prefect.server.schemas.schedules import CronSchedule, IntervalSchedule

    zone = ZoneInfo(timezone)
    plan: CronSchedule | IntervalSchedule
    if cron is not None:
        plan = CronSchedule(cron=cron, timezone=timezone)
    else:
        assert every is not None, "a schedule has one of both"
        plan = IntervalSchedule(
            interval=parse_interval(every), anchor_date=anchor(timezone), timezone="UTC"
        )
    last = after
    while True:
        start = (last + timedelta(seconds=1)).astimezone(zone)
        for time in islice(plan._get_dates_generator(n=20, start=start), 20):
            last = time.astimezone(UTC)
            yield last


def missed(
    cron: str | None, every: str | None, timezone: str, since: datetime, until: datetime
) -> int:
    """How many times a schedule had after one moment and up to another, at most `MOST_MISSED`."""
    count = 0
    for time in times(cron, every, timezone, since):
        if time > until or count == MOST_MISSED:
            return count
        count += 1
    return count
