"""The seed of a scheduled run: another one for each time, and the same one for each retry."""

import hashlib
from datetime import UTC, datetime

BELOW = 2**31
"""Seeds are less than this: what an environment, NumPy and torch all take."""
EPOCH = datetime.fromtimestamp(0, UTC)
"""A time for what is looked at and not run."""
ROOM = 2**17
"""Seeds that may follow one: those of a comparison count up from it."""


def fresh_seed(base: int, scheduled: datetime) -> int:
    """The seed of a scheduled time.

    The first 32 bits of SHA-256 of `base` and the time in UTC, modulo `BELOW - ROOM`.

    Args:
        base: the seed that the experiment is written with; another base gives another series.
        scheduled: when the run was scheduled to start, with its time zone.

    Returns:
        A number from 0 to `BELOW - ROOM - 1`.
    """
    text = f"{base} {scheduled.astimezone(UTC).isoformat()}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") % (BELOW - ROOM)
