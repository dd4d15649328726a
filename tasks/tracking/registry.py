"""The policy as an MLflow model: one that `pyfunc` loads and `mlflow models serve` answers with."""

import json
import re
import tempfile
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rlhf_core
from rlhf_core.differences import Difference, differences, words
from rlhf_core.environments.factory import Environment
from rlhf_core.environments.spaces import Spaces, describe
from rlhf_core.experiment import Experiment
from rlhf_core.finite import check_arrays
from rlhf_core.packing import pack
from rlhf_core.policies import PolicyState
from rlhf_core.types import Metrics
from tasks.tracking.store import Tracker

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion
    from mlflow.models import ModelSignature

OUTSIDE_TASK = ("count", "batching", "frames")
"""Fields of an environment that are no part of the task: how copies are stepped and recorded."""
REQUIREMENTS = (
    "mlflow", "torch", "stable-baselines3", "gymnasium", "numpy", "pydantic", "safetensors",
    "jaxtyping", "fsspec",
)  # fmt: skip
"""What any model needs where it is served, besides its own copy of `rlhf_core`."""


CORE = "rlhf_core.zip"
"""The copy, in the model's folder of code; `served_policy` imports from it."""
ADVICE = ".*(type hint|input example)"
"""Warnings of MLflow that speak to the author of a model."""


@contextmanager
def _without_advice() -> Iterator[None]:
    """MLflow would like a schema of its own from annotations or examples; the signature says it."""
    # Recorded, as modules that are imported inside have filters of their own.
    with warnings.catch_warnings(record=True) as caught:
        warnings.filterwarnings("ignore", ADVICE, UserWarning)
        yield
    for one in caught:
        if not re.match(ADVICE, str(one.message)):
            warnings.warn_explicit(one.message, one.category, one.filename, one.lineno)


def preload() -> None:
    """Import MLflow's models now; it takes seconds, and a process may have them to spare."""
    from mlflow import pyfunc  # noqa: F401


def register(
    tracker: Tracker,
    run_id: str,
    experiment: Experiment,
    policy: PolicyState,
    metrics: Metrics,
    cell: str,
) -> str:
    """Log the policy as a model of the run and register a version of it, once; returns its address.

    The registered model is named by the task, so that policies of all strategies lie side by side.
    The policy of a null control is logged and not registered, so that it is not served by mistake.
    The files are JSON and safetensors and a copy of the package that reads them; nothing is
    pickled.

    Args:
        tracker: where.
        run_id: of the run.
        experiment: of the run.
        policy: what was learned.
        metrics: of the last round.
        cell: of the run, for a tag of the version.

    Raises:
        DivergedError: a weight is no finite number.
    """
    name = task_name(experiment.environment)
    check_arrays(policy.parameters, f"registered model '{name}'", "nothing was registered")
    with _without_advice():
        from mlflow import pyfunc
    from mlflow.entities import LoggedModelOutput, LoggedModelStatus, Metric
    from mlflow.exceptions import MlflowException

    client = tracker.client()
    run = client.get_run(run_id)
    versions = client.search_model_versions(f"run_id = '{run_id}'")
    if versions:
        return _address(versions[0])  # Done before this process was killed and resumed.
    for leftover in client.search_logged_models(
        [run.info.experiment_id], f"source_run_id = '{run_id}'"
    ):
        if experiment.feedback.null_control and leftover.status == LoggedModelStatus.READY:
            return f"models:/{leftover.model_id}"
        client.delete_logged_model(leftover.model_id)
    spaces = experiment.environment.spaces()
    needed = (*REQUIREMENTS, *experiment.optimiser.packages)
    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder) / "policy.safetensors"
        # Adam's moments are of no use to someone who serves the policy.
        weights.write_bytes(pack(PolicyState(policy.parameters, {}, policy.steps)))
        config = Path(folder) / "policy.json"
        config.write_text(
            json.dumps(
                {
                    "optimiser": experiment.optimiser.model_dump(mode="json"),
                    "deterministic": experiment.evaluation.deterministic,
                    "observation": describe(spaces.observation),
                    "action": describe(spaces.action),
                }
            )
        )
        model = client.create_logged_model(run.info.experiment_id, "policy", run_id)
        place = Path(folder) / "model"
        with _without_advice():
            pyfunc.save_model(
                path=place,
                python_model=str(Path(__file__).with_name("served_policy.py")),
                artifacts={"weights": str(weights), "config": str(config)},
                code_paths=[str(_packed_core(Path(folder)))],
                pip_requirements=[f"{name}=={_public_version(name)}" for name in needed],
                signature=_signature(spaces),
            )
        client.log_model_artifacts(model.model_id, str(place))
    step = policy.steps
    client.log_outputs(run_id, [LoggedModelOutput(model.model_id, step)])
    final = {name: value for name, value in metrics.items() if name.startswith("eval/")}
    client.log_batch(
        run_id,
        metrics=[
            Metric(f"model/{name}", value, 0, step, model_id=model.model_id)
            for name, value in final.items()
        ],
    )
    # Not before, so that one that is ready is whole.
    client.finalize_logged_model(model.model_id, "READY")
    if experiment.feedback.null_control:
        return f"models:/{model.model_id}"
    iqm = {name: metrics[name] for name in ("eval/true_return_iqm",) if name in metrics}
    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    version = client.create_model_version(
        name,
        model.artifact_location,
        run_id,
        tags={
            "cell": cell,
            "strategy": experiment.feedback.kind,
            "optimiser": experiment.optimiser.kind,
            "seed": str(experiment.seed),
            **{name.removeprefix("eval/"): f"{value:.1f}" for name, value in iqm.items()},
        },
        model_id=model.model_id,
    )
    return _address(version)


def _packed_core(folder: Path) -> Path:
    """The package that reads a policy, in one file: a server is sent each file by itself."""
    package, path = Path(rlhf_core.__file__).parent, folder / CORE
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for source in sorted(package.rglob("*.py")):
            archive.write(source, Path(package.name) / source.relative_to(package))
    return path


def task_name(environment: Environment) -> str:
    """Name of the registered model of a task: the environment's id, and what else makes the task.

    `CartPole-v1-fixed_horizon500`; `OUTSIDE_TASK` is no part of it.
    """
    changes = task_differences(environment, Environment(id=environment.id))
    # MLflow takes slashes and colons for parts of an address.
    identity = re.sub(r"[^A-Za-z0-9._-]", "-", environment.id)
    return "-".join([identity, *words(changes, environment)])


def task_differences(environment: Environment, base: Environment) -> list[Difference]:
    """What distinguishes the task of an environment from that of another one."""
    return [
        (path, value) for path, value in differences(environment, base) if path not in OUTSIDE_TASK
    ]


def _address(version: "ModelVersion") -> str:
    """As `mlflow models serve -m` takes it."""
    return f"models:/{version.name}/{version.version}"


def _public_version(name: str) -> str:
    """Without a local part such as `+cpu`, which no index has."""
    return version(name).partition("+")[0]


def _signature(spaces: Spaces) -> "ModelSignature":
    import numpy as np
    from mlflow.models import ModelSignature
    from mlflow.types import Schema, TensorSpec

    def batch_of(shape: tuple[int, ...] | None, dtype: Any) -> Schema:
        return Schema([TensorSpec(dtype, (-1, *(shape or ())))])

    observation, action = spaces.observation, spaces.action
    return ModelSignature(
        batch_of(observation.shape, np.dtype(observation.dtype)),
        batch_of(action.shape, np.dtype(action.dtype)),
    )
