"""MLflow's experiments: where runs of one environment lie side by side."""

import os
from typing import TYPE_CHECKING

from rlhf_core.errors import RunError
from tasks.addresses import masked
from tasks.tracking import views
from tasks.tracking.notes import edited
from tasks.tracking.store import Tracker
from tasks.tracking.tags import NOTE_TAG, PROJECT, PROJECT_TAG, TASK_TAG, VIEWS_TAG

if TYPE_CHECKING:
    from mlflow.entities import Experiment

VARIABLE = "MLFLOW_EXPERIMENT_NAME"


def ready(tracker: Tracker, environment: str) -> str:
    """The id of the experiment for runs of an environment, created where there is none.

    It has a description, tags and the prepared views.

    Args:
        tracker: where.
        environment: id of the environment, which names the experiment; `MLFLOW_EXPERIMENT_NAME`
            goes before it.

    Raises:
        RunError: the experiment is deleted.
    """
    from mlflow.exceptions import MlflowException

    client = tracker.client()
    name = os.environ.get(VARIABLE) or environment
    experiment = client.get_experiment_by_name(name)
    if experiment is None:
        tags = {PROJECT_TAG: PROJECT}
        if name == environment:
            tags[TASK_TAG] = environment
        try:
            created = client.create_experiment(name, artifact_location=tracker.artifacts, tags=tags)
            experiment = client.get_experiment(created)
        except MlflowException:
            experiment = client.get_experiment_by_name(name)  # Another process was faster.
            if experiment is None:
                raise
    if experiment.lifecycle_stage == "deleted":
        raise RunError(f"MLflow experiment '{name}' is deleted; restore it, or set {VARIABLE}")
    identity: str = experiment.experiment_id
    if NOTE_TAG not in experiment.tags:
        client.set_experiment_tag(identity, NOTE_TAG, _description(name, identity))
    views.ensure(tracker, identity, experiment.tags)
    return identity


def write_result(tracker: Tracker, experiment_id: str, answer: str, links: str) -> None:
    """Put the result of the newest comparison above everything else on the experiment's pages.

    Args:
        tracker: where.
        experiment_id: of MLflow.
        answer: the result; secrets of addresses are masked.
        links: where more of it is.
    """
    client = tracker.client()
    before = client.get_experiment(experiment_id).tags.get(NOTE_TAG, "")
    # The key of a view in a link is no secret.
    after = edited(before, {"Result": f"{masked(answer)} {links}"}, first=True)
    if after != before:
        client.set_experiment_tag(experiment_id, NOTE_TAG, after)


def newest(tracker: Tracker) -> "Experiment | None":
    """The experiment of ours that has the newest finished run; None before the first."""
    client = tracker.client()
    ours = [e for e in client.search_experiments() if VIEWS_TAG in e.tags]
    if not ours:
        return None
    identities = [experiment.experiment_id for experiment in ours]
    runs = client.search_runs(
        identities,
        "attributes.status = 'FINISHED'",
        max_results=1,
        order_by=["attributes.start_time DESC"],
    )
    newest_id = runs[0].info.experiment_id if runs else None
    return next((e for e in ours if e.experiment_id == newest_id), None)


def _description(name: str, identity: str) -> str:
    links = [
        f"- [{view.name}]({views.link(identity, views.identity(key)).removeprefix('/')}): "
        f"{view.about}"
        for key, view in views.definitions().items()
        if key != views.COMPARISON
    ]
    return "\n".join(
        [
            f"Runs on `{name}` of rlhf-flows: each is one seed of a cell "
            "(tag `rlhf.cell`): a strategy, an optimiser and what else differs. Prepared views, "
            "also in the menu of views:",
            "",
            *links,
        ]
    )
