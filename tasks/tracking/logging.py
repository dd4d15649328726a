"""Writing metrics, parameters, labels and files of a run to MLflow."""

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rlhf_core.differences import flatten
from rlhf_core.types import Metrics
from tasks.tracking.store import Tracker

if TYPE_CHECKING:
    from rlhf_core.experiment import Experiment


OF_ANSWERS = (
    "annotator.", "guard.", "budget.labels", "budget.label_schedule", "budget.money",
    "budget.until_stable",
)  # fmt: skip
"""Fields, or beginnings of them, that have no meaning where no questions are asked."""


def log_parameters(tracker: Tracker, run_id: str, experiment: "Experiment") -> None:
    """Every field of the experiment that the run uses, as a parameter."""
    from mlflow.entities import Param

    parameters = flatten(experiment.model_dump(mode="json"))
    if not experiment.feedback.asks:
        parameters = {
            name: value for name, value in parameters.items() if not name.startswith(OF_ANSWERS)
        }
    params = [Param(name, str(value)) for name, value in parameters.items()]
    tracker.client().log_batch(run_id, params=params)


def log_metrics(tracker: Tracker, run_id: str, metrics: Metrics, step: int, at_ms: int) -> None:
    """One batch. The same metrics with the same time are one entry, however often logged."""
    from mlflow.entities import Metric

    entries = [Metric(name, value, at_ms, step) for name, value in metrics.items()]
    tracker.client().log_batch(run_id, metrics=entries)


def log_labels(tracker: Tracker, run_id: str, digest: str, profile: Mapping[str, Any]) -> None:
    """The labels as a data set input of the run, identified by the digest of their content."""
    source = "rlhf-store", f"rlhf-store:{digest}"
    _log_data_set(tracker, run_id, "labels", digest, source, "reward fit", profile)


def log_label_set(
    tracker: Tracker, run_id: str, name: str, number: int, digest: str, counts: Mapping[str, int]
) -> None:
    """A version of a label set as a data set input of the run that learns from it."""
    source = "rlhf-labels", f"rlhf-labels:{name}/{number}"
    _log_data_set(tracker, run_id, f"labels {name}", digest, source, "label set", counts)


def log_folder(tracker: Tracker, run_id: str, field: str, folder: Path, digest: str) -> None:
    """A folder that the run reads as a data set input, named by the field of its experiment."""
    place = folder.resolve()
    _log_data_set(tracker, run_id, place.name, digest, ("local", place.as_uri()), field)


def _log_data_set(
    tracker: Tracker,
    run_id: str,
    name: str,
    digest: str,
    source: tuple[str, str],
    context: str,
    profile: Mapping[str, Any] | None = None,
) -> None:
    """A data set input of a run.

    Args:
        tracker: where the run is.
        run_id: of the run.
        name: of the data set.
        digest: of its content, SHA-256 in hexadecimal.
        source: its kind and its address.
        context: what the run uses it for.
        profile: what is in it.
    """
    from mlflow.entities import Dataset, DatasetInput, InputTag

    kind, uri = source
    described = None if profile is None else json.dumps(dict(profile))
    dataset = Dataset(name, digest[:8], kind, json.dumps({"uri": uri}), profile=described)
    tags = [InputTag("mlflow.data.context", context), InputTag("sha256", digest)]
    tracker.client().log_inputs(run_id, [DatasetInput(dataset, tags)])


def log_files(tracker: Tracker, run_id: str, files: Mapping[str, bytes]) -> None:
    """Artifacts by their path."""
    with tempfile.TemporaryDirectory() as folder:
        for name, content in files.items():
            path = Path(folder) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        tracker.client().log_artifacts(run_id, folder)
