"""Rate limits: token buckets, kept for the callers of late."""

import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable

from rlhf_core.labelling.server.settings import Rate

REMEMBERED = 20_000
"""Callers that a limit knows at a time; the one that called longest ago is forgotten first."""


class RateLimit:
    """Lets each caller call `burst` times at once, then `per_second` times a second."""

    def __init__(self, rate: Rate, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate, self._clock = rate, clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._lock = threading.Lock()

    def take(self, caller: str) -> float:
        """Count a call; returns 0 where it is let through, else the seconds to wait."""
        now = self._clock()
        with self._lock:
            calls, since = self._buckets.pop(caller, (float(self._rate.burst), now))
            calls = min(self._rate.burst, calls + (now - since) * self._rate.per_second)
            wait = 0.0 if calls >= 1 else (1 - calls) / self._rate.per_second
            self._buckets[caller] = (calls if wait else calls - 1, now)
            while len(self._buckets) > REMEMBERED:
                self._buckets.popitem(last=False)
        return wait


def retry_after(wait: float) -> dict[str, str]:
    """The header that says when to try again."""
    return {"Retry-After": str(max(1, math.ceil(wait)))}
