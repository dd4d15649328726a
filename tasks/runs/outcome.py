"""The summary of a run, stored before the run is marked as finished.

So what the command prints is never lost: a run whose process was killed between its end and the
printing prints it when it is resumed, without MLflow and Prefect.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from rlhf_core.errors import DamagedError, RunError
from tasks.home import Home
from tasks.runs.cleaning import SUMMARY
from tasks.runs.states import State
from tasks.tracking import records
from tasks.tracking.logging import log_files
from tasks.tracking.store import Tracker

if TYPE_CHECKING:  # A finished run is printed without what it takes to make one.
    from tasks.runs.run import Run

ARTIFACT = "summary.json"


@dataclass(frozen=True)
class Outcome:
    """How a run ended."""

    experiment: str
    """Its name."""
    summary: Mapping[str, Any]
    """What `rlhf train --json` prints."""
    finished: bool
    """Whether the run is marked as finished in MLflow."""


def store(run: "Run", summary: Mapping[str, Any], finished: bool) -> None:
    """Write the summary down: in the store before and after the mark, in MLflow before it."""
    outcome = asdict(Outcome(run.experiment.name, dict(summary), finished))
    run.store.remember(_key(run.run_id), outcome)
    if not finished:
        log_files(run.tracker, run.run_id, {ARTIFACT: json.dumps(outcome, indent=2).encode()})


def whole_id(home: Home, beginning: str) -> str:
    """The run of the home's store whose id begins so; the beginning itself where there is none.

    Raises:
        RunError: there are several.
    """
    run_ids = {key.partition("/")[0] for key in home.store.memos() if "/" in key}
    matching = sorted(run_id for run_id in run_ids if run_id.startswith(beginning))
    if len(matching) > 1:
        raise RunError(f"run '{beginning}': expected one run that begins so, actual: {matching}")
    return matching[0] if matching else beginning


def recall(home: Home, run_id: str) -> Outcome | None:
    """The outcome of a run whose finish the store has recorded, read from the store alone."""
    if not run_id.isalnum():
        return None  # It names a file.
    outcome = _stored(home, run_id)
    return outcome if outcome is not None and outcome.finished else None


def look_up(home: Home, tracker: Tracker, run_id: str) -> Outcome | None:
    """The outcome of a run that MLflow calls finished; None for other runs."""
    record = records.read(tracker, run_id)
    if record is None or record.deleted or State.of(record.status) is not State.FINISHED:
        return None
    stored = _stored(home, run_id)
    if stored is not None:
        return stored
    text = records.text(tracker, run_id, ARTIFACT)
    return _outcome(json.loads(text)) if text is not None else None


def _stored(home: Home, run_id: str) -> Outcome | None:
    try:
        return _outcome(home.store.recall(_key(run_id)))
    except DamagedError:
        return None  # MLflow has it too.


def _outcome(content: Mapping[str, Any] | None) -> Outcome | None:
    if content is None or set(content) != set(Outcome.__dataclass_fields__):
        return None
    return Outcome(**content)


def _key(run_id: str) -> str:
    return f"{run_id}/{SUMMARY}"
