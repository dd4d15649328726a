"""The life of a run: opened, resumed, left to wait, closed; each move by the table of states."""

import hashlib
import os
import platform
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import yaml

from rlhf_core.comparison.colours import colour_of
from rlhf_core.configuration import from_mapping, to_yaml
from rlhf_core.errors import RunError, StoreError
from rlhf_core.experiment import Experiment
from rlhf_core.store import Store
from rlhf_core.types import Metrics, Value
from tasks import progress
from tasks.addresses import masked, printable
from tasks.home import Home
from tasks.runs import cleaning, description, lease
from tasks.runs.content import content_of, digest_of
from tasks.runs.run import Run
from tasks.runs.states import Event, State, after
from tasks.tracking import notes, records
from tasks.tracking.logging import log_folder, log_metrics, log_parameters
from tasks.tracking.store import Tracker, tracker_of
from tasks.tracking.tags import (
    CELL_TAG,
    COLOUR_TAG,
    CONFIGURATION_TAG,
    CONTENT_TAG,
    ENVIRONMENT_TAG,
    FLOW_TAG,
    GROUP_TAG,
    HOME_TAG,
    KIND_TAG,
    PARENT_TAG,
    PROJECT,
    PROJECT_TAG,
    REASON_TAG,
    RETRAIN_TAG,
    SOURCE_TAG,
    USER_TAG,
    membership,
)

CONFIGURATION = "experiment.yaml"


@dataclass(frozen=True, eq=False)
class Configuration(Value):
    """An experiment as the store has it."""

    text: str


def open_run(
    home: Home,
    experiment: Experiment,
    run_id: str | None,
    flow_run_id: str,
    group: str | None = None,
    parent: str | None = None,
    *,
    cell: str,
    prefect_run: str | None = None,
    prefect_page: str | None = None,
    more_tags: Mapping[str, str] | None = None,
    anew: bool = True,
) -> Run:
    """Create the run of a flow run, or take up the one named; no other process works on it.

    The run is found again by the flow run's id, so a retried flow run continues its own run.

    Args:
        home: whose run it is.
        experiment: everything about the run.
        run_id: an interrupted run to go on with.
        flow_run_id: of Prefect.
        group: names runs that belong together.
        parent: the run that started this one.
        cell: what the run has in common with those of other seeds; an older one keeps its own.
        prefect_page: address of Prefect's page where it lasts.
        more_tags: what else a new run tells of itself.
        anew: whether it begins with nothing. The numbers of one that takes over from another are
            not decided by its experiment, so no comparison may take it for a run of its own.
    """
    tracker = tracker_of(home)
    run_id = run_id or find(tracker, flow_run_id)
    resumed = run_id is not None
    lease.take(home, flow_run_id, run_id)
    parts = membership(group) if group is not None else {}
    if run_id is None:
        optional = {GROUP_TAG: group, PARENT_TAG: parent}
        tags = {name: value for name, value in optional.items() if value is not None}
        tags |= _tags(experiment, cell) | parts | {**(more_tags or {})}
        tags |= {FLOW_TAG: flow_run_id, HOME_TAG: _place(home)}
        run_id = _create(tracker, home.store, experiment, tags, anew)
        lease.assign(flow_run_id, run_id)
    else:
        record = move(tracker, run_id, Event.RESUME)
        # A run of an earlier version lacks some, one of another comparison the last.
        tags = _tags(experiment, cell) | parts | {**record.tags}
        added = {name: text for name, text in tags.items() if name not in record.tags}
        changes = {**added, FLOW_TAG: flow_run_id, REASON_TAG: None}
        if record.tags.get(CONTENT_TAG) != content_of(experiment):
            changes[CONTENT_TAG] = None  # Part of it was played by other code.
        records.set_tags(tracker, run_id, changes)
        group, parent, cell = tags.get(GROUP_TAG), tags.get(PARENT_TAG), tags[CELL_TAG]
    log_parameters(tracker, run_id, experiment)
    texts = {
        description.WHAT: description.what(experiment, cell),
        description.ENDED: "it goes on.",
        description.PREFECT: description.prefect(prefect_run or flow_run_id, prefect_page),
        description.GO_ON: description.go_on(run_id),
    }
    notes.edit(tracker, run_id, texts, tags)
    progress.send(progress.Opened(run_id, resumed))
    return Run(run_id, experiment, home.store_address, tracker, cell, group, parent)


def _tags(experiment: Experiment, cell: str) -> dict[str, str]:
    """What a run is, as tags; of what it does not use there are none."""
    annotator = {"annotator": experiment.annotator.kind} if experiment.feedback.asks else {}
    return {
        PROJECT_TAG: PROJECT,
        KIND_TAG: "run",
        CELL_TAG: cell,
        COLOUR_TAG: colour_of(experiment.feedback.kind),
        "strategy": experiment.feedback.kind,
        "optimiser": experiment.optimiser.kind,
        **annotator,
        ENVIRONMENT_TAG: experiment.environment.id,
        "seed": str(experiment.seed),
        USER_TAG: os.environ.get("USER", "rlhf-flows"),
        SOURCE_TAG: "rlhf train",
    }


def _create(
    tracker: Tracker, store: Store, experiment: Experiment, tags: Mapping[str, str], anew: bool
) -> str:
    content = {CONTENT_TAG: content_of(experiment)} if anew else {}
    text = to_yaml(experiment)
    digest = store.put(Configuration(text))
    run_id = records.create(
        tracker,
        experiment.environment.id,
        f"{tags[CELL_TAG]}-s{experiment.seed}",
        {**tags, CONFIGURATION_TAG: digest, **content},
        {CONFIGURATION: text},
    )
    store.remember(f"{run_id}/{cleaning.CONFIGURATION}", {"refs": {"experiment": digest}})
    for field, name in experiment.folders():
        folder = Path(name)
        log_folder(tracker, run_id, field, folder, digest_of(folder))
    return run_id


def began_here(home: Home, record: records.Record) -> bool:
    """Whether a run was begun in this home, whose leases tell who works on it.

    One that was killed in its first moment has the tag alone; a home that was moved has the memo.
    """
    memo = home.store.recall(f"{record.run_id}/{cleaning.CONFIGURATION}")
    return memo is not None or record.tags.get(HOME_TAG) == _place(home)


def _place(home: Home) -> str:
    """The machine and folder of a home, as a digest."""
    return hashlib.sha256(f"{platform.node()}:{home.path}".encode()).hexdigest()[:12]


def find(tracker: Tracker, flow_run_id: str) -> str | None:
    """The run that belongs to a Prefect flow run."""
    return records.find(tracker, FLOW_TAG, flow_run_id)


def resumable(home: Home, run_id: str) -> Experiment:
    """The experiment of a run that can go on.

    Raises:
        RunError: the run is unknown, is not ours, or is finished.
    """
    record = _known(home, run_id)
    after(run_id, State.of(record.status), Event.RESUME)
    if RETRAIN_TAG in record.tags:
        raise RunError(f"run {run_id} belongs to a retraining; go on: rlhf resume {run_id}")
    return _configuration(tracker_of(home), home.store, record)


def recorded_tags(home: Home, run_id: str) -> Mapping[str, str]:
    """The tags of a run of ours.

    Raises:
        RunError: the run is unknown, or is not ours.
    """
    return _known(home, run_id).tags


def recorded_experiment(home: Home, run_id: str) -> Experiment:
    """The experiment that a run was begun with.

    Raises:
        RunError: the run is unknown, or is not ours.
    """
    return _configuration(tracker_of(home), home.store, _known(home, run_id))


def _known(home: Home, run_id: str) -> records.Record:
    """A run of ours."""
    tracker = tracker_of(home)
    record = records.read(tracker, run_id)
    if record is None:
        own = os.environ.get("MLFLOW_TRACKING_URI")
        place = printable(own) if own else f"the home {home.path}; try --home"
        raise RunError(f"run '{printable(run_id)}' is not known to {place}")
    if record.deleted:
        raise RunError(f"run {run_id} is deleted; restore it in MLflow first")
    if record.tags.get(PROJECT_TAG) != PROJECT:
        raise RunError(f"run {run_id} was not made by rlhf train")
    if record.tags.get(KIND_TAG, "run") != "run":
        raise RunError(f"run {run_id} is a comparison; the same rlhf compare again goes on with it")
    return record


def _configuration(tracker: Tracker, store: Store, record: records.Record) -> Experiment:
    """The experiment that a run was started with, from the store or else from its record."""
    try:
        text = store.get(record.tags[CONFIGURATION_TAG], Configuration).text
    except StoreError:
        recorded = records.text(tracker, record.run_id, CONFIGURATION)
        if recorded is None:
            raise
        text = recorded
    return from_mapping(yaml.safe_load(text), f"run {record.run_id}")


def move(
    tracker: Tracker, run_id: str, event: Event, reason: str | None = None, result: str = ""
) -> records.Record:
    """Let an event happen to a run; returns its record before.

    Args:
        tracker: where the run is tracked.
        run_id: of the run.
        event: what happens.
        reason: why, where the run did not finish; it stands in a tag and in the description.
        result: how it finished, for the description.

    Raises:
        RunError: the run does not exist, or the event does not happen to a run in its state.
    """
    record = records.read(tracker, run_id)
    if record is None:
        raise RunError(f"run '{run_id}' is not known to {printable(tracker.uri)}")
    state = after(run_id, State.of(record.status), event)
    if reason:
        records.set_tags(tracker, run_id, {REASON_TAG: masked(reason)[:5000]})
    if event not in (Event.RESUME, Event.EXTEND):  # Who resumes a run writes its description anew.
        ended = result or f"{state.lower()}: {reason or 'the reason is unknown'}"[:1000]
        texts: dict[str, str | None] = {description.ENDED: ended}
        if event is Event.FINISH:
            texts[description.GO_ON] = None
        notes.edit(tracker, run_id, texts, record.tags)
    records.set_status(tracker, run_id, state.status, state.ended)
    return record


def mark_waiting(run: Run, reason: str) -> None:
    """Mark a run as waiting for people, unless it is."""
    record = records.read(run.tracker, run.run_id)
    if record is None or State.of(record.status) is not State.WAITING:
        move(run.tracker, run.run_id, Event.WAIT, reason)


def finish(run: Run, logged: Metrics, final: Metrics, step: int) -> None:
    """Log metrics of the run as a whole at its last step, and close it.

    Args:
        run: the run.
        logged: what is logged now.
        final: what has been logged of its end, for the description.
        step: environment steps.
    """
    log_metrics(run.tracker, run.run_id, logged, step, time.time_ns() // 1_000_000)
    result = description.finished({**final, **logged})
    move(run.tracker, run.run_id, Event.FINISH, result=result)


def close_flow_run(home: Home, flow_run_id: str, event: Event | None, reason: str) -> None:
    """Close the run of a flow run that has ended, and let go of it.

    Args:
        home: whose run it is.
        flow_run_id: of the flow run.
        event: what happened to the run; None where it has closed itself.
        reason: why it did not finish.
    """
    tracker = tracker_of(home)
    if event is not None:
        run_id = find(tracker, flow_run_id)
        record = None if run_id is None else records.read(tracker, run_id)
        if record is not None and State.of(record.status) is State.RUNNING:
            move(tracker, record.run_id, event, reason)
    lease.release(home, flow_run_id)


def close_interrupted(home: Home, run_id: str, reason: str) -> None:
    """Close a run of this process as cancelled, unless it has been closed, or has ended."""
    tracker = tracker_of(home)
    record = records.read(tracker, run_id)
    if record is not None and State.of(record.status) is State.RUNNING:
        move(tracker, run_id, Event.CANCEL, reason)


def close_abandoned(home: Home) -> None:
    """Close runs and flow runs of this home whose process ended before it could."""
    lease.close_abandoned(home, lambda left: _close_abandoned(home, left))


def _close_abandoned(home: Home, left: lease.Abandoned) -> None:
    tracker = tracker_of(home)
    finished = False
    if not left.taken_up:
        # Without an id it ended before it wrote down which run it was, or before there was one.
        run_id = left.run_id or find(tracker, left.flow_run_id)
        record = None if run_id is None else records.read(tracker, run_id)
        if record is not None and State.of(record.status) is State.RUNNING:
            single = record.tags.get(KIND_TAG, "run") == "run"
            way = f"rlhf resume {run_id}" if single else "the same rlhf compare again"
            reason = f"the process ended without closing the run; go on: {way}"
            move(tracker, record.run_id, Event.ABANDON, reason)
        finished = record is not None and State.of(record.status) is State.FINISHED
    _close_flow_run(UUID(left.flow_run_id), finished)


def _close_flow_run(flow_run_id: UUID, finished: bool) -> None:
    """Mark a flow run as completed or crashed, unless it has ended."""
    # Prefect reads the address of its server when it is imported, and a command that resumes a run
    # looks at this module before it knows the address.
    from prefect import get_client
    from prefect.exceptions import ObjectNotFound
    from prefect.states import Completed, Crashed

    with get_client(sync_client=True) as client:
        try:
            state = client.read_flow_run(flow_run_id).state
        except ObjectNotFound:
            return  # The user deleted it.
        if state is None or not state.is_final():
            message = "the process ended without closing the flow run"
            ended = Completed if finished else Crashed
            client.set_flow_run_state(flow_run_id, ended(message=message), force=True)
