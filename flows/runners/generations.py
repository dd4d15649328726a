"""Where the parts of a generation are played: a task runner of Prefect for the flow of one run."""

from typing import TYPE_CHECKING, Any

from flows.runners.choice import Choice
from rlhf_core.errors import ConfigurationError
from rlhf_core.experiment import Experiment

if TYPE_CHECKING:
    from prefect.task_runners import TaskRunner


def task_runner_of(choice: Choice, experiment: Experiment) -> "TaskRunner[Any] | None":
    """The task runner for a run; None where the optimiser starts processes itself.

    Args:
        choice: the runner.
        experiment: what is run; its optimiser says into how many parts a generation is divided.

    Raises:
        ConfigurationError: the runner plays whole runs alone, or there is nothing to divide.
    """
    if choice.kind in ("local", "processes"):
        return None
    if choice.kind == "work-pool":
        raise ConfigurationError(
            "runner: expected processes, dask or ray, among whose workers a generation is divided, "
            f"actual: {choice}; `rlhf schedule apply --work-pool` plays whole runs in a work pool"
        )
    parts = getattr(experiment.optimiser, "processes", 1)
    if parts == 1:
        raise ConfigurationError(
            f"runner: expected an evolution strategy with optimiser.processes above 1 for "
            f"{choice.kind}, actual: {experiment.optimiser.kind} in one part"
        )
    if choice.kind == "dask":
        from prefect_dask import DaskTaskRunner

        if choice.address is not None:
            return DaskTaskRunner(address=choice.address)
        here = {"n_workers": parts, "threads_per_worker": 1, "dashboard_address": None}
        return DaskTaskRunner(cluster_kwargs={**here, "host": "127.0.0.1"})
    from prefect_ray import RayTaskRunner

    if choice.address is not None:
        return RayTaskRunner(address=choice.address)
    return RayTaskRunner(
        init_kwargs={"address": "local", "num_cpus": parts, "include_dashboard": False}
    )
