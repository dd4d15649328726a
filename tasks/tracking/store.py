"""The one place that writes runs to MLflow.

Everything goes through `MlflowClient` with an explicit run id: MLflow's active run belongs to a
thread, and `mlflow.start_run` marks whatever it opened as finished when it leaves.
"""

import logging
import os
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from rlhf_core.configuration import from_mapping, to_yaml
from rlhf_core.errors import RunError, ServiceError
from rlhf_core.experiment import Experiment
from rlhf_core.types import Metrics, Value
from tasks import progress
from tasks.home import Home
from tasks.runs import lease

# Migrations are not what a person who starts a run wants to read about. MLflow looks at this when
# it is imported, which happens inside the functions below.
os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
os.environ.setdefault("DO_NOT_TRACK", "true")
logging.getLogger("alembic").setLevel(logging.WARNING)

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run as MlflowRun

PROJECT_TAG = "rlhf.project"
FLOW_TAG = "rlhf.flow_run_id"
CONFIGURATION_TAG = "rlhf.configuration"
"""Digest of the experiment in the store: what a resume reads."""
REASON_TAG = "rlhf.reason"
GUARD_TAG = "rlhf.guard"
ENDED_TAG = "rlhf.asking_ended"
CONFIGURATION = "experiment.yaml"
Status = Literal["FINISHED", "FAILED", "KILLED"]
ANSWER_SECONDS = 5.0


def database(home: Home) -> str:
    """URI of the embedded tracking store."""
    # The timeout is SQLite's patience with another process's lock, in seconds.
    return f"sqlite:///{home.folder('mlflow') / 'mlflow.db'}?timeout=60"


def address(home: Home) -> str:
    """Where runs are tracked: `MLFLOW_TRACKING_URI`, else the embedded store."""
    return os.environ.get("MLFLOW_TRACKING_URI") or database(home)


@dataclass(frozen=True, eq=False)
class Configuration(Value):
    """An experiment as the store keeps it."""

    text: str


def prepare(home: Home) -> None:
    """Make the tracking store ready: once, under a lock, before anything runs in parallel.

    Raises:
        ServiceError: the tracking server or database does not answer.
        StoreError: the home cannot be written.
    """
    uri = address(home)
    if uri.startswith(("http://", "https://")):
        _check_server(uri)
        return
    with home.locked("mlflow"):
        from mlflow.exceptions import MlflowException
        from mlflow.utils.uri import get_uri_scheme
        from sqlalchemy import create_engine
        from sqlalchemy.exc import SQLAlchemyError

        try:
            # MLflow itself would try for minutes to reach a database that is not there.
            if "sql" in get_uri_scheme(uri):
                with create_engine(uri).connect() as connection:
                    if uri.startswith("sqlite"):
                        # Readers and a writer do not wait for each other; kept in the file.
                        connection.exec_driver_sql("PRAGMA journal_mode=WAL")
            client(home).search_experiments(max_results=1)
        except (MlflowException, SQLAlchemyError, ImportError) as error:
            raise ServiceError(f"tracking store {uri} cannot be used: {error}") from error


def _check_server(uri: str) -> None:
    """One short request: MLflow itself would try for minutes."""
    import httpx

    try:
        answer = httpx.get(f"{uri.rstrip('/')}/health", timeout=ANSWER_SECONDS)
        answer.raise_for_status()
    except httpx.HTTPError as error:
        raise ServiceError(
            f"tracking server {uri} does not answer ({error}); start it, or unset "
            "MLFLOW_TRACKING_URI to use the embedded store"
        ) from error


def client(home: Home) -> "MlflowClient":
    """A client of the tracking store."""
    from mlflow import MlflowClient

    return MlflowClient(address(home))


def open_run(home: Home, experiment: Experiment, run_id: str | None, flow_run_id: str) -> str:
    """Create the run of this flow run, or take up the given one; returns its id.

    The run is found again by the flow run's id, so a retried flow run continues its own run.
    """
    from mlflow.entities import Param

    mlflow = client(home)
    run_id = run_id or find(home, flow_run_id)
    resumed = run_id is not None
    lease.take(home, flow_run_id, run_id)
    if run_id is None:
        run_id = _create(mlflow, home, experiment, flow_run_id)
        lease.assign(flow_run_id, run_id)
    else:
        mlflow.update_run(run_id, status="RUNNING")
        if REASON_TAG in mlflow.get_run(run_id).data.tags:
            mlflow.delete_tag(run_id, REASON_TAG)
        mlflow.set_tag(run_id, FLOW_TAG, flow_run_id)
    parameters = flatten(experiment.model_dump(mode="json"))
    mlflow.log_batch(run_id, params=[Param(name, str(value)) for name, value in parameters.items()])
    note = f"Prefect flow run `{flow_run_id}`\n\nAfter an interruption: `rlhf resume {run_id}`"
    mlflow.set_tag(run_id, "mlflow.note.content", note)
    progress.tell(progress.Opened(run_id, resumed))
    return run_id


def _create(mlflow: "MlflowClient", home: Home, experiment: Experiment, flow_run_id: str) -> str:
    """A new run. Its tags come with it in one transaction: a kill leaves no run without them."""
    configuration = home.store.put(Configuration(to_yaml(experiment)))
    tags = {
        PROJECT_TAG: "rlhf-flows",
        FLOW_TAG: flow_run_id,
        CONFIGURATION_TAG: configuration,
        "strategy": experiment.feedback.kind,
        "optimiser": experiment.optimiser.kind,
        "annotator": experiment.annotator.kind,
        "environment": experiment.environment.id,
        "seed": str(experiment.seed),
        "mlflow.user": os.environ.get("USER", "rlhf-flows"),
        "mlflow.source.name": "rlhf train",
    }
    place = _experiment_id(mlflow, home, experiment.environment.id)
    run = mlflow.create_run(place, run_name=experiment.name, tags=tags)
    run_id: str = run.info.run_id
    mlflow.log_text(run_id, to_yaml(experiment), CONFIGURATION)
    return run_id


def _experiment_id(mlflow: "MlflowClient", home: Home, name: str) -> str:
    """The MLflow experiment in which runs on one environment lie side by side."""
    from mlflow.exceptions import MlflowException

    name = os.environ.get("MLFLOW_EXPERIMENT_NAME") or name
    found = mlflow.get_experiment_by_name(name)
    if found is None:
        embedded = not os.environ.get("MLFLOW_TRACKING_URI")
        place = (home.folder("mlflow") / "artifacts").as_uri() if embedded else None
        try:
            created: str = mlflow.create_experiment(name, artifact_location=place)
            return created
        except MlflowException:
            found = mlflow.get_experiment_by_name(name)  # Another process was faster.
            if found is None:
                raise
    if found.lifecycle_stage == "deleted":
        raise RunError(
            f"MLflow experiment '{name}' is deleted; restore it, or set MLFLOW_EXPERIMENT_NAME"
        )
    identity: str = found.experiment_id
    return identity


def flatten(content: Any, prefix: str = "") -> dict[str, Any]:
    """Nested fields as `a.b.c`, the form in which MLflow compares parameters."""
    if isinstance(content, Mapping) and content:
        flat: dict[str, Any] = {}
        for name, inner in content.items():
            flat |= flatten(inner, f"{prefix}.{name}" if prefix else str(name))
        return flat
    return {prefix: content}


def find(home: Home, flow_run_id: str) -> str | None:
    """The run that belongs to a Prefect flow run."""
    mlflow = client(home)
    experiments = [e.experiment_id for e in mlflow.search_experiments()]
    runs = mlflow.search_runs(experiments, f"tags.`{FLOW_TAG}` = '{flow_run_id}'", max_results=1)
    return runs[0].info.run_id if runs else None


def resumable(home: Home, run_id: str) -> Experiment:
    """The experiment of a run that can go on.

    Raises:
        RunError: the run is unknown, is not ours, or is finished.
    """
    from mlflow.exceptions import MlflowException

    try:
        run: MlflowRun = client(home).get_run(run_id)
    except MlflowException as error:
        if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            raise ServiceError(f"tracking store {address(home)}: {error}") from error
        known = os.environ.get("MLFLOW_TRACKING_URI") or f"the home {home.path}; try --home"
        raise RunError(f"run '{run_id}' is not known to {known}") from None
    if run.info.lifecycle_stage == "deleted":
        raise RunError(f"run {run_id} is deleted; restore it in MLflow first")
    if run.data.tags.get(PROJECT_TAG) != "rlhf-flows":
        raise RunError(f"run {run_id} was not made by rlhf train")
    if run.info.status == "FINISHED":
        raise RunError(f"run {run_id} is finished; start a new one with rlhf train")
    return configuration(home, run_id)


def configuration(home: Home, run_id: str) -> Experiment:
    """The experiment that a run was started with."""
    import yaml

    digest = client(home).get_run(run_id).data.tags[CONFIGURATION_TAG]
    text = home.store.get(digest, Configuration).text
    return from_mapping(yaml.safe_load(text), f"run {run_id}")


def log_metrics(home: Home, run_id: str, metrics: Metrics, step: int, at_ms: int) -> None:
    """One batch. The same metrics with the same time are one entry, however often logged."""
    from mlflow.entities import Metric

    client(home).log_batch(
        run_id, metrics=[Metric(name, value, at_ms, step) for name, value in metrics.items()]
    )


def finish_run(home: Home, run_id: str, metrics: Metrics) -> None:
    """Log metrics of the run as a whole at its last step, and close it."""
    at = int(client(home).get_run(run_id).data.metrics["policy/steps"])
    log_metrics(home, run_id, metrics, at, time.time_ns() // 1_000_000)
    close_run(home, run_id, "FINISHED")


def log_labels(home: Home, run_id: str, digest: str, profile: Mapping[str, Any]) -> None:
    """The labels as a data set input of the run, known by the digest of their content."""
    import json

    from mlflow.entities import Dataset, DatasetInput, InputTag

    source = json.dumps({"uri": f"rlhf-store:{digest}"})
    dataset = Dataset("labels", digest[:8], "rlhf-store", source, profile=json.dumps(profile))
    tags = [InputTag("mlflow.data.context", "reward fit"), InputTag("sha256", digest)]
    client(home).log_inputs(run_id, [DatasetInput(dataset, tags)])


def note_alarm(home: Home, run_id: str, round: int, text: str) -> None:
    """What the guard saw in a round and did about it, one tag a round."""
    client(home).set_tag(run_id, f"{GUARD_TAG}.{round + 1:04d}", text)


def note_end_of_asking(home: Home, run_id: str, text: str) -> None:
    """Why labels of the budget were left."""
    client(home).set_tag(run_id, ENDED_TAG, text)


def log_files(home: Home, run_id: str, files: Mapping[str, bytes]) -> None:
    """Artifacts by their path."""
    with tempfile.TemporaryDirectory() as folder:
        for name, content in files.items():
            path = Path(folder) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        client(home).log_artifacts(run_id, folder)


def close_run(home: Home, run_id: str, status: Status, reason: str | None = None) -> None:
    """Close a run, and say why where it did not finish."""
    mlflow = client(home)
    if reason:
        mlflow.set_tag(run_id, REASON_TAG, reason[:5000])
    mlflow.set_terminated(run_id, status, int(time.time() * 1000))


def close_abandoned(home: Home, left: lease.Abandoned) -> None:
    """Close the run that a killed process had been working on, if it is still open."""
    from mlflow.exceptions import MlflowException

    run_id = left.run_id or find(home, left.flow_run_id)
    if run_id is None:
        return  # It was killed before there was a run.
    try:
        running = client(home).get_run(run_id).info.status == "RUNNING"
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return  # The user deleted it.
    if running:
        reason = f"the process ended without closing the run; go on: rlhf resume {run_id}"
        close_run(home, run_id, "KILLED", reason)
