"""Runs of schedules that wait for people: kept, resumed, or cancelled."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING
from uuid import UUID

from flows.schedules import status
from flows.services import label_server
from flows.waking import Waker
from tasks.home import Home
from tasks.people import close_campaign
from tasks.runs import lifecycle
from tasks.runs.states import Event
from tasks.tracking.store import tracker_of

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient

LOOK_SECONDS = 5.0
"""How often is looked whether people have answered."""


class WaitingRuns:
    """The runs of a home that are suspended until people have answered."""

    def __init__(self, home: Home, client: "SyncPrefectClient", say: Callable[[str], None]) -> None:
        """Nothing was looked at yet.

        Args:
            home: whose runs.
            client: of its Prefect server.
            say: told what happens.
        """
        self._home, self._client, self._say = home, client, say
        self._waker = Waker(home, say)
        self._looked_at = float("-inf")
        self._serves = False

    def look(self) -> None:
        """Resume runs whose answers are in; keep the label server up while anybody is asked."""
        if time.monotonic() - self._looked_at < LOOK_SECONDS:
            return
        self._looked_at = time.monotonic()
        asked = self._waker.look(self._client)
        if asked and not self._serves and label_server.external() is None:
            label_server.SERVER.request(self._home)
            self._serves = True

    def began(self, name: str, flow_run_id: UUID) -> None:
        """A run of a schedule was suspended."""
        status.change(self._home, name, playing=None, waiting=str(flow_run_id))
        self._say(f"{name}: waits for people")

    def waits(self, name: str) -> bool:
        """Whether a run of a schedule is suspended until people have answered."""
        waiting = status.read(self._home, name).waiting
        if waiting is None:
            return False
        from prefect.exceptions import ObjectNotFound

        try:
            state = self._client.read_flow_run(UUID(waiting)).state
        except ObjectNotFound:
            state = None
        if state is not None and state.is_paused():
            return True
        status.change(self._home, name, waiting=None)
        return False

    def cancel(self, name: str, reason: str) -> None:
        """Give a suspended run up, and ask nobody any more for it."""
        from prefect.states import Cancelled

        waiting = status.read(self._home, name).waiting
        assert waiting is not None, "it waits"
        self._client.set_flow_run_state(UUID(waiting), Cancelled(message=reason), force=True)
        tracker = tracker_of(self._home)
        run_id = lifecycle.find(tracker, waiting)
        if run_id is not None:
            lifecycle.move(tracker, run_id, Event.CANCEL, reason)
            close_campaign(self._home, run_id)
        status.change(self._home, name, waiting=None)
        self._say(f"{name}: the run that waited for people is cancelled, {reason}")
