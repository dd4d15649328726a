"""Runs as records of MLflow: created, looked up, read, with their status and tags."""

import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rlhf_core.errors import ServiceError
from tasks.addresses import masked, printable
from tasks.tracking import experiments, views
from tasks.tracking.store import Tracker

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run


@dataclass(frozen=True)
class Record:
    """A run as MLflow holds it."""

    run_id: str
    status: str
    """MLflow's word for the state."""
    tags: Mapping[str, str]
    deleted: bool


def create(
    tracker: Tracker, environment: str, name: str, tags: Mapping[str, str], files: Mapping[str, str]
) -> str:
    """Create a run and return its id.

    Its tags come with it in one transaction: a kill leaves no run without them.

    Args:
        tracker: where.
        environment: id of the environment, whose runs lie side by side in one experiment.
        name: of the run.
        tags: of the run.
        files: texts by the path of the artifact.
    """
    client = tracker.client()
    run = client.create_run(experiments.ready(tracker, environment), run_name=name, tags=dict(tags))
    run_id: str = run.info.run_id
    for path, text in files.items():
        client.log_text(run_id, text, path)
    return run_id


def read(tracker: Tracker, run_id: str) -> Record | None:
    """The record of a run, or None where the tracking store has no such run.

    Raises:
        ServiceError: the tracking store does not answer.
    """
    from mlflow.exceptions import MlflowException

    try:
        run = tracker.client().get_run(run_id)
    except MlflowException as error:
        if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            return None
        raise ServiceError(
            f"tracking store {printable(tracker.uri)}: {printable(str(error))}"
        ) from error
    return _record(run)


def all_runs(tracker: Tracker) -> list[Record]:
    """Every run of the tracking store, deleted ones included."""
    from mlflow.entities import ViewType

    client = tracker.client()
    everywhere = [e.experiment_id for e in client.search_experiments(view_type=ViewType.ALL)]
    records: list[Record] = []
    token: str | None = None
    while everywhere:
        page = client.search_runs(
            everywhere, run_view_type=ViewType.ALL, max_results=1000, page_token=token
        )
        records.extend(map(_record, page))
        token = page.token
        if not token:
            break
    return records


def _record(run: "Run") -> Record:
    deleted = run.info.lifecycle_stage == "deleted"
    return Record(run.info.run_id, run.info.status, run.data.tags, deleted)


def find(tracker: Tracker, tag: str, value: str) -> str | None:
    """The id of a run with this tag; None where there is none."""
    if not views.is_quotable(value):
        return None
    client = tracker.client()
    everywhere = [e.experiment_id for e in client.search_experiments()]
    runs = client.search_runs(everywhere, f"tags.`{tag}` = {views.quoted(value)}", max_results=1)
    return runs[0].info.run_id if runs else None


def find_all(tracker: Tracker, tags: Mapping[str, str]) -> list[Record]:
    """Every run with all of these tags, the newest first; deleted ones do not count."""
    return next(find_each(tracker, [tags]))


def find_each(tracker: Tracker, choices: Iterable[Mapping[str, str]]) -> Iterator[list[Record]]:
    """What `find_all` finds for each choice of tags, with one look at the experiments."""
    client = tracker.client()
    everywhere = [e.experiment_id for e in client.search_experiments()]
    for tags in choices:
        yield _with_tags(client, everywhere, tags)


def _with_tags(
    client: "MlflowClient", everywhere: list[str], tags: Mapping[str, str]
) -> list[Record]:
    if not all(map(views.is_quotable, tags.values())):
        return []
    rule = " AND ".join(f"tags.`{name}` = {views.quoted(value)}" for name, value in tags.items())
    runs = client.search_runs(everywhere, rule, order_by=["attributes.start_time DESC"])
    return [_record(run) for run in runs]


def set_status(tracker: Tracker, run_id: str, status: str, ended: bool) -> None:
    """Write down the status of a run, with the time where it has ended."""
    client = tracker.client()
    if ended:
        client.set_terminated(run_id, status, int(time.time() * 1000))
    else:
        client.update_run(run_id, status=status)


def try_set_tags(tracker: Tracker, run_id: str, tags: Mapping[str, str | None]) -> bool:
    """Write tags, unless the tracking store does not take them now; whether it did."""
    from mlflow.exceptions import MlflowException

    try:
        set_tags(tracker, run_id, tags)
    except (MlflowException, ServiceError, OSError):
        return False
    return True


def set_tags(tracker: Tracker, run_id: str, tags: Mapping[str, str | None]) -> None:
    """Set tags, in one request; None deletes one. Secrets of addresses are masked."""
    from mlflow.entities import RunTag

    client = tracker.client()
    new = [RunTag(name, masked(value)) for name, value in tags.items() if value is not None]
    if new:
        client.log_batch(run_id, tags=new)
    unwanted = [name for name, value in tags.items() if value is None]
    if unwanted:
        present = client.get_run(run_id).data.tags
        for name in unwanted:
            if name in present:
                client.delete_tag(run_id, name)


def set_files(tracker: Tracker, run_id: str, files: Mapping[str, str]) -> None:
    """Write texts by the path of the artifact, in place of what was there."""
    for path, content in files.items():
        tracker.client().log_text(run_id, content, path)


def content(tracker: Tracker, run_id: str, path: str) -> bytes | None:
    """The bytes of an artifact, or None where the run has none of that path.

    Raises:
        ServiceError: the tracking store does not answer.
    """
    from mlflow.exceptions import MlflowException

    client, place = tracker.client(), path.rpartition("/")[0]
    with tempfile.TemporaryDirectory() as folder:
        try:
            if path not in [entry.path for entry in client.list_artifacts(run_id, place or None)]:
                return None
            return Path(client.download_artifacts(run_id, path, folder)).read_bytes()
        except (MlflowException, OSError) as error:
            raise ServiceError(
                f"tracking store {printable(tracker.uri)}: {printable(str(error))}"
            ) from error


def text(tracker: Tracker, run_id: str, path: str) -> str | None:
    """The text of an artifact, or None where the run has none of that path."""
    artifact = content(tracker, run_id, path)
    return None if artifact is None else artifact.decode()


def newest_metrics(tracker: Tracker, run_id: str) -> dict[str, float]:
    """The newest value of each metric of a run."""
    metrics: dict[str, float] = tracker.client().get_run(run_id).data.metrics
    return dict(metrics)
