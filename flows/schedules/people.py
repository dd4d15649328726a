"""Runs of schedules that wait for people: kept, resumed, or cancelled."""

import time
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING
from uuid import UUID

from flows.schedules import status
from flows.services import label_server
from flows.waking import Waker
from tasks.home import Home
from tasks.people import close_campaign
from tasks.runs import lifecycle
from tasks.runs.states import Event, State
from tasks.tracking import records
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
        if state is None or state.is_final():
            self.give_up(UUID(waiting), "cancelled on Prefect's page")
        status.change(self._home, name, waiting=None)
        return False

    def cancel(self, name: str, reason: str) -> None:
        """Cancel the suspended run of a schedule, if there is one."""
        from prefect.exceptions import ObjectNotFound
        from prefect.states import Cancelled

        waiting = status.read(self._home, name).waiting
        if waiting is None:
            return
        with suppress(ObjectNotFound):  # The user may have deleted it.
            self._client.set_flow_run_state(UUID(waiting), Cancelled(message=reason), force=True)
        self.give_up(UUID(waiting), reason)
        status.change(self._home, name, waiting=None)
        self._say(f"{name}: the run that waited for people is cancelled, {reason}")

    def give_up(self, flow_run_id: UUID, reason: str) -> None:
        """Close the waiting run of a flow run that has ended, and ask nobody any more for it."""
        tracker = tracker_of(self._home)
        run_id = lifecycle.find(tracker, str(flow_run_id))
        record = None if run_id is None else records.read(tracker, run_id)
        if record is not None and State.of(record.status) is State.WAITING:
            lifecycle.move(tracker, record.run_id, Event.CANCEL, reason)
            close_campaign(self._home, record.run_id)
