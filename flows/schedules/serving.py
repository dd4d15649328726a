"""The process that plays schedules until a signal ends it."""

import os
import signal
import threading
from collections.abc import Callable
from types import FrameType

from flows.repeating import repeat
from flows.schedules import definition, status
from rlhf_core.errors import RunError, ServiceError
from tasks.home import Home

LOOK_SECONDS = 1.0
ORPHANS_SECONDS = 60.0
"""How long runs of a process that was killed may take to end, which they do by themselves."""
REASON = "interrupted: rlhf serve was stopped; the run goes on when it starts again"


def serve(home: Home, limit: int, say: Callable[[str], None]) -> None:
    """Play the schedules of a home until SIGTERM, SIGHUP or Ctrl-C; they stay as they are.

    Args:
        home: whose schedules.
        limit: runs that go on at the same time.
        say: told what happens, one line each.

    Raises:
        RunError: another process serves them.
        ConfigurationError, ServiceError, StoreError: as of `connect`.
    """
    ending = _Ending()
    with status.held(home, status.SERVING, patience=1.0) as alone:
        if alone is None:
            raise RunError(f"the schedules of {home.path} are served by another process already")
        with status.held(home, status.PLAYING, ORPHANS_SECONDS) as lock:
            if lock is None:
                raise ServiceError(
                    f"a run of the process that served {home.path} before still goes on after "
                    f"{ORPHANS_SECONDS:.0f} s; end its process (flows.schedules.player) first"
                )
            schedules = definition.of_home(home)
            from flows.services.connect import connect

            connect(home)
            from prefect import get_client

            from flows.schedules.conductor import Conductor
            from flows.schedules.leftovers import take_up

            with get_client(sync_client=True) as client:
                take_up(home, client, {schedule.name for schedule in schedules}, say)
                conductor = Conductor(home, client, limit, lock, say)
                say(f"serving {len(schedules)} schedules of {home.path}; Ctrl-C stops")
                repeat(conductor.tick, ending.event, LOOK_SECONDS, say)
                conductor.end(REASON)
    say("stopped; the schedules stay")


class _Ending:
    """Set by the first signal; the second ends the process at once."""

    def __init__(self) -> None:
        self.event = threading.Event()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            # `nohup` has a closed terminal ignored; a script has Ctrl-C ignored in what it starts
            # in the background, and does not mean it.
            if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._arrive)

    def _arrive(self, number: int, frame: FrameType | None) -> None:
        if self.event.is_set() and number == signal.SIGINT:
            os._exit(128 + number)  # Runs see their pipe closed, and end.
        self.event.set()
