"""A runner that plays one run after the other, in the process of the command."""

from contextvars import copy_context
from typing import Any

from flows.runners.job import Job, Receive
from flows.runners.playing import played
from tasks.home import Home


class Local:
    """Plays here."""

    count = 1

    def __init__(self, home: Home) -> None:
        self._home = home

    def play(self, job: Job, receive: Receive) -> dict[str, Any]:
        """Play a run; returns its summary. Raises as `playing.played` does."""
        # Whoever listens here hears of the run by what is received, and not twice.
        outside = copy_context()
        return played(self._home, job, lambda event: outside.run(receive, event))

    def close(self) -> None:
        """Nothing is left behind."""
