"""A run from end to end, as the command does it."""

import csv
import io
import json
import re
import zipfile
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import numpy as np
import pytest
import yaml
from rich.console import Console

from flows.command.display import remarks, summary
from flows.experiments import presets, references
from rlhf_core import in_process
from rlhf_core.comparison.colours import colour_of
from rlhf_core.configuration import load, override
from rlhf_core.experiment import Experiment
from rlhf_core.types import Metrics
from tasks.home import Home
from tasks.tracking.store import tracker_of
from tasks.tracking.tags import GUARD_TAG
from tests.docs.test_docs import documented_metrics
from tests.flows.conftest import Command, client_of, experiment_of

SUMMARY = {
    "run_id", "environment", "strategy", "optimiser", "labels", "asking_ended", "cost", "alarms",
    "env_steps", "true_return_mean", "true_return_iqm", "success_rate", "first_return_iqm",
    "expert_return_mean", "true_reward_reference", "heldout_accuracy", "model", "notes",
    "curve", "seconds",
}  # fmt: skip


@pytest.fixture(scope="session")
def result(shared_home: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return Command(shared_home, tmp_path_factory.mktemp("train")).train()


def test_the_summary_has_the_promised_fields_and_the_budget_is_kept(result: dict[str, Any]) -> None:
    assert set(result) == SUMMARY
    assert result["labels"] == 9
    assert result["asking_ended"] is None
    assert (result["cost"], result["alarms"], result["notes"]) == (0.0, [], [])
    assert result["true_reward_reference"] is None, "no preset trains like this"
    assert 0 < result["heldout_accuracy"] <= 1
    # 160 first steps, then whole rollouts of 4 x 32 steps: 6 of them fit into 840.
    assert result["env_steps"] == 160 + 6 * 128
    assert [steps for steps, _ in result["curve"]] == [416, 672, 928]
    assert result["curve"][-1][1] == result["true_return_iqm"]
    assert result["strategy"] == "preference"


def test_what_labels_cost_and_why_no_more_were_asked_is_told_and_tagged(rlhf: Command) -> None:
    result = rlhf.train("--set", "annotator.cost=0.5", "--set", "budget.money=2")
    assert (result["labels"], result["cost"]) == (4, 2.0)
    said = "the money pays for no more (budget.money), 2 of 2 spent, 5 labels are left"
    assert result["asking_ended"] == said
    run = client_of(rlhf.home).get_run(result["run_id"])
    assert run.data.tags["rlhf.asking_ended"] == said
    console = Console(width=120, file=io.StringIO())
    console.print(summary({**result, "cost": 0.04}, "title"))
    shown = " ".join(console.file.getvalue().split())  # type: ignore[attr-defined]
    assert f"no more, because │ {said}" in shown
    assert "cost of the labels │ 0.04" in shown
    assert remarks(result) == []
    assert remarks({**result, "alarms": ["round 2: why"], "notes": ["no film: none"]}) == [
        "alarm of the guard, round 2: why", "note: no film: none"
    ]  # fmt: skip


def test_a_preset_is_shown_beside_the_true_reward() -> None:
    preset = load(presets.find("pendulum-preference"))
    reference = references.of(preset)
    assert reference is not None
    assert -150 < reference.iqm < -120
    assert references.of(override(preset, {"seed": 9, "name": "other"})) == reference
    assert references.of(override(preset, {"optimiser.steps": 64})) is None
    assert references.of(override(preset, {"environment.id": "MountainCarContinuous-v0"})) is None


def test_every_preset_has_a_reference() -> None:
    pytest.importorskip("transformers")
    for name in presets.names():
        data = yaml.safe_load(presets.text(name))
        assert references.of(Experiment.model_validate(data)) is not None, name


def test_a_policy_is_published_where_only_its_evaluation_lacks_a_true_reward(rlhf: Command) -> None:
    elsewhere = "{id: Pendulum-v1, count: 4, time_limit: 40, true_reward: false}"
    result = rlhf.train("--set", f"evaluation.environment={elsewhere}", "--set", "budget.rounds=1")
    assert result["true_return_iqm"] is None
    assert "learning_curve.png" not in files(client_of(rlhf.home), result, "plots")


def test_the_same_seed_gives_the_same_numbers_and_another_seed_others(
    rlhf: Command, result: dict[str, Any]
) -> None:
    again, other = rlhf.train(), rlhf.train("--set", "seed=6")
    same = SUMMARY - {"run_id", "seconds", "model"}
    assert {k: again[k] for k in same} == {k: result[k] for k in same}
    assert other["true_return_mean"] != result["true_return_mean"]


def test_mlflow_has_parameters_tags_metrics_at_environment_steps_labels_and_artifacts(
    shared_home: Path, result: dict[str, Any]
) -> None:
    client = client_of(shared_home)
    run = client.get_run(result["run_id"])
    assert run.info.status == "FINISHED"
    assert run.data.params["feedback.reward_model.hidden"] == "[8]"
    assert run.data.params["optimiser.learning_rate"] == "0.002"
    tags = ("strategy", "optimiser", "annotator", "environment", "seed", "rlhf.kind")
    found = [run.data.tags[tag] for tag in tags]
    assert found == ["preference", "ppo", "synthetic", "Pendulum-v1", "5", "run"]
    cell = run.data.tags["rlhf.cell"]
    assert re.fullmatch("preference-ppo-time_limit40-count4-[0-9a-f]{6}", cell)
    assert run.info.run_name == f"{cell}-s5"
    assert run.data.tags["mlflow.runColor"] == colour_of("preference")
    history = client.get_metric_history(result["run_id"], "eval/true_return_iqm")
    assert [m.step for m in history] == [416, 672, 928]
    assert history[-1].value == result["true_return_iqm"]
    labels = client.get_metric_history(result["run_id"], "feedback/labels_total")
    assert [m.value for m in labels] == [4, 7, 9]
    assert run.data.metrics["time/orchestration"] > 0
    values = run.data.metrics
    assert values["final/true_return_iqm"] == result["true_return_iqm"]
    assert values["best/true_return_iqm"] == max(m.value for m in history)
    gained = result["true_return_iqm"] - result["first_return_iqm"]
    assert values["final/return_per_label"] == pytest.approx(gained / 9)
    assert [m.step for m in client.get_metric_history(result["run_id"], "final/labels")] == [928]
    # Not told by a pendulum, by a single teacher, by a network, or without a robust fit.
    elsewhere = {
        "eval/success_rate", "feedback/worker_competence", "feedback/krippendorff_alpha",
        "reward/mistake_rate", "reward/demonstration_accuracy", "reward/rollout_accuracy",
        "policy/fitness_best", "policy/search_std", "policy/generations",
        "policy/value_loss", "policy/temperature", "policy/exploration_rate",
        "expert/true_return_mean", "expert/episodes", "expert/steps",
        "cloning/updates", "cloning/heldout_loss",
        "feedback/sign_log_odds", "feedback/answers_per_worker",
        "reward/family", "reward/penalty", "eval/first_early_ends",
        "policy/kl_to_start", "policy/pairs", "policy/pair_loss",
    }  # fmt: skip
    documented = documented_metrics() - elsewhere
    assert {m for m in run.data.metrics if not m.startswith("model/")} == documented

    (dataset,) = run.inputs.dataset_inputs
    assert dataset.dataset.name == "labels"
    assert json.loads(dataset.dataset.profile) == {"comparison": 9, "ties": 0}
    artifacts = {a.path for a in client.list_artifacts(result["run_id"])}
    assert artifacts >= {"experiment.yaml", "labels", "plots", "reward_model", "video"}
    assert files(client, result, "plots") == {
        "learning_curve.png", "proxy_and_true.png", "reward_diagnostic.png", "reward_quality.png"
    }  # fmt: skip
    assert files(client, result, "labels") == {
        "evidence.safetensors", "comparison.csv", "judgements.csv"
    }  # fmt: skip
    (version,) = client.search_model_versions(f"run_id = '{result['run_id']}'")
    assert version.name == "Pendulum-v1-time_limit40"
    told = {name: version.tags[name] for name in ("cell", "strategy", "optimiser", "seed")}
    assert told == {"cell": cell, "strategy": "preference", "optimiser": "ppo", "seed": "5"}
    assert version.tags["true_return_iqm"] == f"{result['true_return_iqm']:.1f}"


def files(client: Any, result: dict[str, Any], folder: str) -> set[str]:
    """Names of the artifacts in a folder of a run."""
    found = client.list_artifacts(result["run_id"], folder)
    return {artifact.path.rpartition("/")[2] for artifact in found}


def table(home: Path, result: dict[str, Any], name: str) -> list[dict[str, str]]:
    """Rows of a CSV file of a run."""
    run = client_of(home).get_run(result["run_id"])
    path = Path(urlparse(run.info.artifact_uri).path) / name
    return list(csv.DictReader(path.read_text().splitlines()))


def test_the_ledger_and_the_labels_are_those_of_the_run(
    shared_home: Path, result: dict[str, Any]
) -> None:
    ledger = table(shared_home, result, "labels/judgements.csv")
    assert [row["round"] for row in ledger] == ["1"] * 4 + ["2"] * 3 + ["3"] * 2
    assert {row["form"] for row in ledger} == {"comparison"}
    told = table(shared_home, result, "labels/comparison.csv")
    asked = [f"{row['left_segment']} {row['right_segment']}" for row in told]
    assert asked == [row["question"] for row in ledger]
    side = {"left": "0.0", "right": "1.0", "equal": "0.5"}
    assert [row["probability_right"] for row in told] == [side[row["answer"]] for row in ledger]


GUARDED = (
    "--set", "guard.confidence=0.51", "--set", "guard.least_accuracy=0.99",
    "--set", "budget.labels=100", "--set", "budget.rounds=5",
    "--set", "budget.env_steps=1440",
)  # fmt: skip
"""A guard that expects more of a hurried fit than it can do, and two rollouts a round."""


@pytest.mark.parametrize("reaction", ["ask_more", "roll_back", "stop"])
def test_an_alarmed_run_is_what_the_loop_makes_of_it(
    rlhf: Command, shared_home: Path, reaction: str
) -> None:
    result = rlhf.train(*GUARDED, "--set", f"guard.reaction={reaction}")
    rounds: list[Metrics] = []
    experiment = experiment_of(shared_home, result["run_id"])
    final = in_process.run(experiment, lambda progress: rounds.append(progress.metrics))
    alarms = [index for index, metrics in enumerate(rounds) if metrics["guard/alarm"]]
    assert alarms
    client = client_of(shared_home)
    run = client.get_run(result["run_id"])
    assert run.info.status == "FINISHED"
    for name in ("guard/alarm", "eval/true_return_iqm", "reward/fresh_accuracy", "proxy/gain"):
        logged = client.get_metric_history(result["run_id"], name)
        assert [m.value for m in logged] == [m[name] for m in rounds if name in m], name
    assert result["env_steps"] == final.policy.steps
    assert result["alarms"] == list(final.alarms)
    assert [text.partition(":")[0] for text in final.alarms] == [f"round {i + 1}" for i in alarms]
    assert result["labels"] == sum(m["feedback/labels"] for m in rounds)
    assert len(rounds) == (alarms[0] + 1 if reaction == "stop" else 5)
    noted = {name: text for name, text in run.data.tags.items() if name.startswith(f"{GUARD_TAG}.")}
    assert noted == {
        f"{GUARD_TAG}.{index + 1:04d}": f"{reaction}: {text}"
        for index, text in zip(alarms, final.alarms, strict=True)
    }
    # A round that asked twice is one round of the ledger.
    ledger = table(shared_home, result, "labels/judgements.csv")
    counted = [
        sum(row["round"] == str(index) for row in ledger) for index in range(1, len(rounds) + 1)
    ]
    assert counted == [m["feedback/judgements"] for m in rounds]
    assert len(ledger) == sum(counted)
    assert "proxy_and_true.png" in files(client, result, "plots")


def test_the_logged_policy_predicts_what_the_trained_policy_does(
    shared_home: Path, result: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    import mlflow

    from rlhf_core.packing import unpack
    from rlhf_core.policies import PolicyState

    client = client_of(shared_home)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", tracker_of(Home(shared_home)).uri)
    (version,) = client.search_model_versions(f"run_id = '{result['run_id']}'")
    model = mlflow.pyfunc.load_model(result["model"])
    observations = np.array([[1, 0, 0], [0, 1, -2], [-1, 0, 8]], dtype=np.float32)

    experiment = experiment_of(shared_home, result["run_id"])
    folder = Path(urlparse(version.source).path)
    weights = folder / "artifacts" / "policy.safetensors"
    state = unpack(weights.read_bytes(), PolicyState)
    act = experiment.optimiser.act(state, experiment.environment.spaces(), deterministic=True)
    np.testing.assert_array_equal(model.predict(observations), act(observations))


def test_a_policy_that_was_evaluated_by_its_draws_is_served_so(
    rlhf: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    import mlflow

    result = rlhf.train("--set", "evaluation.deterministic=false", "--set", "budget.rounds=1")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", tracker_of(Home(rlhf.home)).uri)
    model = mlflow.pyfunc.load_model(result["model"])
    same = np.tile(np.array([[1, 0, 0]], dtype=np.float32), (20, 1))
    assert len(np.unique(model.predict(same))) > 10


@pytest.mark.parametrize("kind", ["constant", "true_reward"])
def test_a_run_that_asks_nothing_tells_nothing_of_answers(rlhf: Command, kind: str) -> None:
    result = rlhf.train("--set", f"feedback.kind={kind}")
    client = client_of(rlhf.home)
    run = client.get_run(result["run_id"])
    assert "annotator" not in run.data.tags
    told = {name.partition(".")[0] for name in run.data.params}
    assert not told & {"annotator", "guard"}
    assert "budget.labels" not in run.data.params
    assert run.data.params["budget.rounds"] == "3"
    assert run.data.metrics["final/labels"] == 0
    assert "final/return_per_label" not in run.data.metrics
    note = run.data.tags["mlflow.note.content"]
    assert f"feedback `{kind}` on `Pendulum-v1`" in note
    assert "**How it ended:** finished with a true return of" in note
    assert "rlhf resume" not in note, "it is finished"
    versions = client.search_model_versions(f"run_id = '{result['run_id']}'")
    if kind == "constant":
        (model,) = run.outputs.model_outputs
        assert result["model"] == f"models:/{model.model_id}"
        assert versions == []
        assert client.get_logged_model(model.model_id).status == "READY"
    else:
        assert result["model"] == f"models:/{versions[0].name}/{versions[0].version}"


def test_the_experiment_of_a_run_says_what_it_holds(
    shared_home: Path, result: dict[str, Any]
) -> None:
    client = client_of(shared_home)
    tags = client.get_experiment(client.get_run(result["run_id"]).info.experiment_id).tags
    assert tags["rlhf.environment"] == "Pendulum-v1"
    assert "[Learning curves](#/experiments/" in tags["mlflow.note.content"]
    assert "mlflow.sharedViewState.rlhf-learning-curves" in tags


def test_no_file_of_a_run_is_a_pickle(shared_home: Path, result: dict[str, Any]) -> None:
    files = [p for p in (shared_home / "mlflow" / "artifacts").rglob("*") if p.is_file()]
    assert files
    # The code that a logged policy carries is the one archive; what torch.save writes is one too.
    archives = [p for p in files if zipfile.is_zipfile(p)]
    assert {p.name for p in archives} == {"rlhf_core.zip"}
    names = [name for p in archives for name in zipfile.ZipFile(p).namelist()]
    assert {Path(name).suffix for name in names} == {".py"}
    suspicious = {".pkl", ".pickle", ".pt", ".pth", ".zip", ".npy", ".joblib"}
    others = [p for p in files if p not in archives]
    assert not [p for p in others if p.suffix in suspicious or p.read_bytes()[:2] == b"\x80\x04"]
