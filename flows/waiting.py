"""How a run waits for people: here, or suspended until the answers are in."""

import os
import time
from collections.abc import Mapping
from typing import Any

from prefect import runtime
from prefect.artifacts import create_link_artifact
from prefect.flow_runs import suspend_flow_run

from flows.flow_run import schedule_name
from flows.notices import tell_finished
from flows.services import label_server
from rlhf_core.errors import AnswersPendingError, ConfigurationError, StoreError
from rlhf_core.experiment import Experiment
from tasks import progress
from tasks.home import Home
from tasks.people import VARIABLE, asks_people, labels_of, wait_of
from tasks.runs import lease, lifecycle
from tasks.runs.run import Run
from tasks.runs.states import Event
from tasks.tracking import records
from tasks.tracking.tags import PEOPLE_TAG

LOOK_SECONDS = 1.0
"""How often a waiting process looks whether the answers are in."""
ARTIFACT = "people"
EVERYBODY = "everybody"
"""Name of the invite that a run makes; where the owner has revoked it, a new one is made."""


def check_reachable(experiment: Experiment) -> None:
    """Check that people can answer while a deployment's run is suspended, before it begins.

    Raises:
        ConfigurationError: the run's worker cannot tell where its label server and store are.
    """
    deployed = runtime.deployment.id is not None and not label_server.served_by_conductor()
    if not (deployed and asks_people(experiment)):
        return
    for variable, what in (
        (label_server.VARIABLE, "the address of `rlhf label serve`"),
        (VARIABLE, "the label store that it serves"),
    ):
        if not os.environ.get(variable):
            raise ConfigurationError(
                f"{variable}: expected {what}, so that people can answer while the run is "
                "suspended, actual: none"
            )


class Waiter:
    """Waits for people on behalf of one run."""

    def __init__(self, home: Home, run: Run, flow: str) -> None:
        """Nobody is waited for yet.

        Args:
            home: of the run.
            run: that waits.
            flow: its name, for notices.
        """
        self._home, self._run, self._flow = home, run, flow
        self._notified = False
        self._address: str | None = None

    def wait(self, pending: AnswersPendingError) -> bool:
        """Publish the link and wait; False where the flow is to leave and to be resumed later.

        Args:
            pending: what is missing.
        """
        if not asks_people(self._run.experiment):
            self._notify(str(pending))
            return False
        link = self._link()
        reason = f"{pending}; people answer at {link}"
        self._notify(reason)
        lifecycle.mark_waiting(self._run, reason)
        progress.send(progress.Waiting(self._run.run_id, str(pending), link))
        if runtime.deployment.id is not None:
            return False
        self._poll(link)
        lifecycle.move(self._run.tracker, self._run.run_id, Event.RESUME)
        return True

    def _notify(self, reason: str) -> None:
        """Notify, once a process."""
        if not self._notified:
            self._notified = True
            waiting = {"run_id": self._run.run_id, "waiting": reason}
            tell_finished(self._home, self._flow, waiting, schedule_name())

    def _poll(self, link: str) -> None:
        """Return when the run can go on."""
        state = ""
        while True:
            try:
                with labels_of(self._home) as labels:
                    while True:
                        campaign = labels.campaign_of_run(self._run.run_id)
                        wait = None if campaign is None else wait_of(labels, campaign)
                        if wait is None or wait.over:
                            return
                        now = f"{wait.complete} of {wait.questions} questions are answered"
                        if now != state:
                            state = now
                            progress.send(progress.Waiting(self._run.run_id, state, link))
                        time.sleep(LOOK_SECONDS)
            except StoreError as error:  # The database is away; people's time is worth the wait.
                state = f"the label store does not answer: {error}"
                progress.send(progress.Waiting(self._run.run_id, state, link))
                time.sleep(LOOK_SECONDS)

    def _own_server(self) -> str:
        """The home's label server. Asked for once a process: each request is one more user."""
        address = label_server.SERVER.request(self._home)
        label_server.SERVER.wait(self._home, address)
        return address

    def _link(self) -> str:
        """The link by which people join, the same one whenever the run waits."""
        if self._address is None:
            self._address = label_server.external() or self._own_server()
        run_id, tracker = self._run.run_id, self._run.tracker
        record = records.read(tracker, run_id)
        assert record is not None, "the run is open"
        known = record.tags.get(PEOPLE_TAG)
        with labels_of(self._home) as labels:
            campaign = labels.campaign_of_run(run_id)
            assert campaign is not None, "its questions were published"
            mine = [one for one in labels.invites(campaign.id) if one.name == EVERYBODY]
            if known is None or all(one.revoked for one in mine):
                _, token = labels.invite(campaign.id, EVERYBODY, uses=None, actor="run")
            else:
                token = known.rpartition("/")[2]
        link = f"{self._address}/join/{token}"
        if link != known:
            records.set_tags(tracker, run_id, {PEOPLE_TAG: link})
            create_link_artifact(
                link=link, link_text="answer the questions", key=ARTIFACT,
                description=f"People answer the questions of run {run_id} here.",
            )  # fmt: skip
        return link


def leave_waiting(home: Home, summary: Mapping[str, Any]) -> None:
    """Suspend the flow run of a deployment whose run waits; `flows.waking` has it resumed.

    Raises:
        Pause: where it waits; Prefect ends the process.
    """
    if "waiting" in summary and runtime.deployment.id is not None:
        lease.release(home, str(runtime.flow_run.id))
        # Each wait has a key of its own: one that was resumed before would not suspend again.
        key = f"{summary['run_id']}-{time.time_ns()}"
        suspend_flow_run(timeout=None, key=key)
