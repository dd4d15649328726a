"""A run from end to end, as the command does it."""

import json
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import numpy as np
import pytest

from tasks import tracking
from tasks.home import Home
from tests.docs.test_docs import documented_metrics
from tests.flows.conftest import Command

SUMMARY = {
    "run_id", "environment", "strategy", "optimiser", "labels", "env_steps", "true_return_mean",
    "true_return_iqm", "seconds",
}  # fmt: skip


@pytest.fixture(scope="session")
def result(shared_home: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return Command(shared_home, tmp_path_factory.mktemp("train")).train()


def test_the_summary_has_the_promised_fields_and_the_budget_is_kept(result: dict[str, Any]) -> None:
    assert set(result) == SUMMARY
    assert result["labels"] == 9
    # 160 first steps, then whole rollouts of 4 x 32 steps: 6 of them fit into 840.
    assert result["env_steps"] == 160 + 6 * 128
    assert result["strategy"] == "preference"


def test_the_same_seed_gives_the_same_numbers_and_another_seed_others(
    rlhf: Command, result: dict[str, Any]
) -> None:
    again, other = rlhf.train(), rlhf.train("--set", "seed=6")
    same = SUMMARY - {"run_id", "seconds"}
    assert {k: again[k] for k in same} == {k: result[k] for k in same}
    assert other["true_return_mean"] != result["true_return_mean"]


def test_mlflow_has_parameters_tags_metrics_at_environment_steps_labels_and_artifacts(
    shared_home: Path, result: dict[str, Any]
) -> None:
    client = tracking.client(Home(shared_home))
    run = client.get_run(result["run_id"])
    assert run.info.status == "FINISHED"
    assert run.data.params["feedback.reward_model.hidden"] == "[8]"
    assert run.data.params["optimiser.learning_rate"] == "0.002"
    tags = ("strategy", "optimiser", "annotator", "environment", "seed")
    found = [run.data.tags[tag] for tag in tags]
    assert found == ["preference", "ppo", "synthetic", "Pendulum-v1", "5"]
    history = client.get_metric_history(result["run_id"], "eval/true_return_iqm")
    assert [m.step for m in history] == [416, 672, 928]
    assert history[-1].value == result["true_return_iqm"]
    labels = client.get_metric_history(result["run_id"], "feedback/labels_total")
    assert [m.value for m in labels] == [4, 7, 9]
    assert run.data.metrics["time/orchestration"] > 0
    documented = documented_metrics() - {"eval/success_rate"}
    assert {m for m in run.data.metrics if not m.startswith("model/")} == documented

    (dataset,) = run.inputs.dataset_inputs
    assert dataset.dataset.name == "labels"
    assert json.loads(dataset.dataset.profile)["labels"] == 9
    artifacts = {a.path for a in client.list_artifacts(result["run_id"])}
    assert artifacts >= {"experiment.yaml", "labels", "plots", "reward_model", "video"}
    (version,) = client.search_model_versions(f"run_id = '{result['run_id']}'")
    assert version.name == "tiny"


def test_the_logged_policy_predicts_what_the_trained_policy_does(
    shared_home: Path, result: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    import mlflow

    from rlhf_core.optimisers import PolicyState
    from rlhf_core.store import unpack

    home = Home(shared_home)
    client = tracking.client(home)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", tracking.address(home))
    (version,) = client.search_model_versions(f"run_id = '{result['run_id']}'")
    model = mlflow.pyfunc.load_model(f"models:/tiny/{version.version}")
    observations = np.array([[1, 0, 0], [0, 1, -2], [-1, 0, 8]], dtype=np.float32)

    experiment = tracking.configuration(home, result["run_id"])
    folder = Path(urlparse(version.source).path)
    weights = folder / "artifacts" / "policy.safetensors"
    state = unpack(weights.read_bytes(), PolicyState)
    act = experiment.optimiser.act(state, experiment.environment.spaces(), deterministic=True)
    np.testing.assert_array_equal(model.predict(observations), act(observations))


def test_no_file_of_a_run_is_a_pickle(shared_home: Path, result: dict[str, Any]) -> None:
    files = [p for p in (shared_home / "mlflow" / "artifacts").rglob("*") if p.is_file()]
    assert files
    suspicious = {".pkl", ".pickle", ".pt", ".pth", ".zip", ".npy", ".joblib"}
    assert not [p for p in files if p.suffix in suspicious or p.read_bytes()[:2] == b"\x80\x04"]
