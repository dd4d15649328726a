"""What plays the schedules of a home on one machine: looks, decides, starts, ends, writes down.

Once a second it compares the file of schedules with Prefect's deployments, asks Prefect which runs
are due, and lets `decision.decide` say what becomes of each. Every run is a process of its own
(`flows.schedules.player`). Definitions live in the file, times and runs in Prefect, results in
MLflow; in memory there is only which process plays what, so a kill loses nothing.
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from flows.notices import tell_failed
from flows.schedules import definition, deployments, status
from flows.schedules.decision import Due, decide
from flows.schedules.definition import Schedule
from flows.schedules.deployments import Registered
from flows.schedules.missed import MissedTimes
from flows.schedules.people import WaitingRuns
from flows.services.label_server import SERVED
from rlhf_core.errors import ConfigurationError
from tasks.addresses import printable
from tasks.home import Home, private
from tasks.runs import lifecycle
from tasks.runs.states import Event
from tasks.tracking import listing
from tasks.tracking.store import tracker_of

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.objects import FlowRun, State

RAISED = "Flow run encountered an exception: "
"""What Prefect puts before an exception."""
END_SECONDS = 20.0
"""How long a run may take to end when it is asked to."""


@dataclass
class Playing:
    """A run that goes on, in a process of its own."""

    schedule: Schedule
    flow_run_id: UUID
    scheduled: datetime
    process: "subprocess.Popen[bytes]"
    reason: str | None = None
    """Why it is being ended; None while nobody wants that."""
    kill_at: float = 0.0
    """When it is ended by force (monotonic)."""


class Conductor:
    """Plays the schedules of a home; `tick` once a second, `end` at the end."""

    def __init__(
        self,
        home: Home,
        client: "SyncPrefectClient",
        limit: int,
        lock: int,
        say: Callable[[str], None],
    ) -> None:
        """A conductor that plays nothing yet.

        Args:
            home: whose schedules are played.
            client: of its Prefect server.
            limit: runs that go on at the same time; more wait.
            lock: a descriptor that every process that plays a run inherits.
            say: told what happens, one line each.
        """
        self._home, self._client, self._limit, self._lock = home, client, limit, lock
        self._say = say
        self._file: tuple[int, int] | None = None
        self._schedules: dict[str, Schedule] = {}
        self._registered: dict[str, Registered] = {}
        self._playing: dict[str, Playing] = {}
        self._missed = MissedTimes(home, say)
        self._people = WaitingRuns(home, client, say)

    def tick(self) -> None:
        """Look once, and do what there is to do."""
        self._follow_file()
        self._reap()
        self._hear_requests()
        self._hear_cancellations()
        self._people.look()
        self._play_due()
        self._missed.note_served(self._schedules)

    def end(self, reason: str) -> None:
        """End what goes on, so that whoever serves next goes on with it.

        Where a server is lost meanwhile, the next that serves finds the runs as after a kill.
        """
        for playing in self._playing.values():
            with self._said(playing.schedule.name):
                self._stop(playing, reason)
        for name, playing in self._playing.items():
            try:
                playing.process.wait(max(0.0, playing.kill_at - time.monotonic()))
            except subprocess.TimeoutExpired:
                playing.process.kill()
                playing.process.wait()
            status.change(self._home, name, playing=None)
            with self._said(name):
                self._leave_to_next(playing, reason)
        self._playing.clear()

    def _leave_to_next(self, playing: Playing, reason: str) -> None:
        from prefect.states import AwaitingRetry

        lifecycle.close_abandoned(self._home)
        flow_run = self._client.read_flow_run(playing.flow_run_id)
        if flow_run.state is None or not flow_run.state.is_completed():
            state: State[Any] = AwaitingRetry(scheduled_time=datetime.now(UTC), message=reason)
            self._client.set_flow_run_state(playing.flow_run_id, state, force=True)
        self._say(f"{playing.schedule.name}: {reason}")

    @contextmanager
    def _said(self, name: str) -> Iterator[None]:
        """Say what fails inside of the block, and go on."""
        try:
            yield
        except Exception as error:  # Whatever it is, the other runs are ended too.
            self._say(f"{name}: not closed ({printable(f'{type(error).__name__}: {error}')[:300]})")

    def _follow_file(self) -> None:
        """Register what the file of schedules holds, where it has changed."""
        path = definition.path_of(self._home)
        stat = path.stat() if path.exists() else None
        stamp = (stat.st_mtime_ns, stat.st_ino) if stat else (0, 0)
        if stamp == self._file:
            return
        try:
            schedules = definition.of_home(self._home)
        except ConfigurationError as error:
            self._file = stamp
            self._say(f"error: {error}; the schedules stay as they were")
            return
        self._registered = deployments.bring_about(
            self._client, schedules, deployments.tag_of(self._home)
        )
        for schedule in schedules:
            if self._schedules.get(schedule.name) != schedule:
                what = "paused" if schedule.paused else schedule.rhythm
                self._say(f"{schedule.name}: {what}")
        wanted = {schedule.name: schedule for schedule in schedules}
        for name in self._schedules.keys() - wanted.keys():
            self._say(f"{name}: removed")
            self._people.cancel(name, "the schedule was removed")
            if name not in self._playing:
                status.forget(self._home, name)
        self._schedules, self._file = wanted, stamp

    def _hear_requests(self) -> None:
        """Make the runs that `rlhf schedule run-now` asked for."""
        for name in status.requested(self._home):
            if name in self._registered:
                self._client.create_flow_run_from_deployment(self._registered[name].deployment_id)
            status.answer(self._home, name)

    def _hear_cancellations(self) -> None:
        """End runs that were cancelled on Prefect's page."""
        for playing in self._playing.values():
            if playing.reason is None:
                state = self._client.read_flow_run(playing.flow_run_id).state
                if state is not None and state.is_cancelling():
                    self._stop(playing, "cancelled on Prefect's page")

    def _play_due(self) -> None:
        """Ask which runs are due, and do with each what was decided."""
        ids = {one.deployment_id: name for name, one in self._registered.items()}
        if not ids:
            return
        now = datetime.now(UTC)
        answer = self._client.get_scheduled_flow_runs_for_deployments([*ids], scheduled_before=now)
        due: dict[str, list[Due]] = {name: [] for name in ids.values()}
        scheduled: dict[UUID, datetime] = {}
        for run in answer:
            assert run.deployment_id is not None, "runs of deployments were asked for"
            time = run.expected_start_time or now
            scheduled[run.id] = time
            due[ids[run.deployment_id]].append(Due(run.id, time, run.run_count > 0))
        for name, runs in due.items():
            schedule = self._schedules[name]
            self._missed.count(schedule, now, any(not run.begun for run in runs))
            if not runs:
                continue
            waits = self._people.waits(name)
            decision = decide(runs, waits or name in self._playing, schedule.overlap)
            for flow_run_id in decision.missed:
                self._drop(flow_run_id, "missed: a later time came first")
            for flow_run_id in decision.skipped:
                self._drop(flow_run_id, "skipped: the run before it still went on")
                skipped = status.read(self._home, name).skipped + 1
                status.change(self._home, name, skipped=skipped)
                how = "waits for people" if waits else "goes on"
                self._say(f"{name}: skipped, the run before it still {how}")
            for flow_run_id in decision.replaced:
                self._drop(flow_run_id, "a newer run took its place")
                self._people.give_up(flow_run_id, "a newer run took its place")
            if decision.cancel and waits:
                self._people.cancel(name, "a newer run took its place")
            elif decision.cancel and self._playing[name].reason is None:
                self._stop(self._playing[name], "a newer run took its place")
            if (
                decision.start is not None
                and name not in self._playing
                and len(self._playing) < self._limit
            ):
                self._start(schedule, decision.start, scheduled[decision.start])

    def _drop(self, flow_run_id: UUID, reason: str) -> None:
        from prefect.states import Cancelled

        self._client.set_flow_run_state(flow_run_id, Cancelled(message=reason), force=True)

    def _start(self, schedule: Schedule, flow_run_id: UUID, scheduled: datetime) -> None:
        """Play a run in a process of its own, unless Prefect has other plans with it."""
        from prefect.states import Pending

        self._client.set_flow_run_state(flow_run_id, Pending())
        state = self._client.read_flow_run(flow_run_id).state
        if state is None or not state.is_pending():
            return
        with private(status.log_of(self._home, schedule.name), "w") as log:
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", "flows.schedules.player", str(flow_run_id),
                 schedule.flow],
                cwd=schedule.folder,
                env={**os.environ, "RLHF_HOME": str(self._home.path), SERVED: "1"},
                stdin=subprocess.PIPE,  # Its end tells the run that this process is gone.
                stdout=log,
                stderr=log,
                pass_fds=[self._lock],
                start_new_session=True,  # Ctrl-C is for this process, which ends the run.
            )  # fmt: skip
        self._playing[schedule.name] = Playing(schedule, flow_run_id, scheduled, process)
        status.change(self._home, schedule.name, playing=str(flow_run_id), waiting=None)
        self._say(f"{schedule.name}: started the run of {scheduled:%Y-%m-%d %H:%M:%S} UTC")

    def _stop(self, playing: Playing, reason: str) -> None:
        """Ask a run to end, once it is closed with the reason."""
        playing.reason, playing.kill_at = reason, time.monotonic() + END_SECONDS
        lifecycle.close_flow_run(self._home, str(playing.flow_run_id), Event.CANCEL, reason)
        playing.process.terminate()

    def _reap(self) -> None:
        """Write down the outcome of runs whose process has ended."""
        for name, playing in list(self._playing.items()):
            code = playing.process.poll()
            if code is None:
                if playing.reason is not None and time.monotonic() > playing.kill_at:
                    playing.process.kill()
                continue
            flow_run = self._closed(playing, code)
            state = flow_run.state
            assert state is not None, "it was set"
            if _is_left(state):
                self._people.began(name, playing.flow_run_id)
                del self._playing[name]
                if name not in self._schedules:
                    self._people.cancel(name, "the schedule was removed")
                    status.forget(self._home, name)
                continue
            tracker = tracker_of(self._home)
            run_id = lifecycle.find(tracker, str(playing.flow_run_id))
            run = None if run_id is None else listing.find_run(tracker, run_id)
            reason = (
                None
                if state.is_completed()
                else printable((state.message or "").removeprefix(RAISED))[:500]
            )
            status.change(
                self._home, name,
                runs=status.read(self._home, name).runs + 1, playing=None, state=state.name,
                reason=reason, scheduled=playing.scheduled.isoformat(),
                ended=datetime.now(UTC).isoformat(), flow_run_id=str(playing.flow_run_id),
                run_id=run_id, link=run and run.link, seed=run and run.seed,
                true_return=run and run.true_return,
            )  # fmt: skip
            del self._playing[name]
            self._say(
                f"{name}: {(state.name or state.type).lower()}{f': {reason}' if reason else ''}"
            )
            if name not in self._schedules:
                status.forget(self._home, name)

    def _closed(self, playing: Playing, code: int) -> "FlowRun":
        """The flow run of a process that has ended, closed where that did not do it."""
        from prefect.states import Cancelled, Crashed

        lifecycle.close_abandoned(self._home)  # A finished run is believed, whatever Prefect says.
        flow_run = self._client.read_flow_run(playing.flow_run_id)
        if flow_run.state is not None and _is_left(flow_run.state):
            return flow_run
        completed = flow_run.state is not None and flow_run.state.is_completed()
        state: State[Any]
        if playing.reason is not None and not completed:
            state = Cancelled(message=playing.reason)
        elif flow_run.state is None or not flow_run.state.is_final():
            how = f"by signal {-code}" if code < 0 else f"with status {code}"
            state = Crashed(message=f"the process of the run ended {how}")
            tell_failed(self._home, flow_run, state, playing.schedule.flow)
        else:
            return flow_run
        self._client.set_flow_run_state(playing.flow_run_id, state, force=True)
        return self._client.read_flow_run(playing.flow_run_id)


def _is_left(state: "State[Any]") -> bool:
    """Whether a run was suspended until people have answered, or is resumed already."""
    return state.is_paused() or state.is_scheduled()
