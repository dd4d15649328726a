"""A sweep as a user runs it: killed, continued, measured on fresh seeds, refused when changed."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from flows.sweeps.report import answer
from flows.sweeps.trials import USUAL
from rlhf_core.configuration import load
from rlhf_core.sweep import Sweep
from tests.flows.conftest import LONGEST_SECONDS, TINY, Command, client_of, run_ids, wait_until
from tests.flows.webhooks import receiver

pytestmark = pytest.mark.timeout(3 * LONGEST_SECONDS)

SWEEP: dict[str, Any] = {
    "name": "tiny-sweep",
    "experiment": {**TINY, "feedback": {"kind": "true_reward"}},
    "space": {
        "optimiser.learning_rate": {"low": 1.0e-4, "high": 1.0e-1, "log": True},
        "optimiser.epochs": [1, 2],
    },
    "trials": 4,
    "seeds": 2,
    "best": 1,
    "final_seeds": 2,
}


def sweep_file(folder: Path, **changes: Any) -> str:
    path = folder / "sweep.yaml"
    path.write_text(yaml.safe_dump(SWEEP | changes))
    return str(path)


def test_a_killed_sweep_goes_on_to_its_total_and_is_measured_on_fresh_seeds(
    rlhf: Command, tmp_path: Path
) -> None:
    rlhf.home = tmp_path / "home"
    path = sweep_file(tmp_path)
    process = rlhf.start("sweep", path)
    wait_until(lambda: "FINISHED" in run_ids(rlhf.home).values(), process=process)
    process.kill()
    process.communicate()
    with receiver() as (address, bodies):
        added = rlhf("notify", "add", "told", "--webhook", address, "--on", "finished")
        assert added.returncode == 0, added.stderr
        done = rlhf("sweep", path, "--json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    # One notice for the whole, and none for the comparison in it.
    assert [(body["flow"], body["run_id"]) for body in bodies] == [("sweep", result["run_id"])]
    assert [trial["number"] for trial in result["trials"]] == [0, 1, 2, 3]
    assert all(trial["ended"] for trial in result["trials"])
    runs = client_of(rlhf.home).search_runs(
        [e.experiment_id for e in client_of(rlhf.home).search_experiments()],
        "tags.`rlhf.kind` = 'run'",
    )
    contents = [run.data.tags["rlhf.content"] for run in runs]
    assert len({*contents}) == len(contents)
    assert {run.info.status for run in runs} == {"FINISHED"}
    parents = {run.data.tags["mlflow.parentRunId"] for run in runs}
    assert parents == {result["run_id"], result["final_run_id"]}
    seeds = {run["cell"] for run in result["final"]}
    assert any("usual" in cell for cell in seeds)
    if result["preset"] is not None:
        assert load(Path(result["preset"])).name == "tiny-sweep-best"
    files = client_of(rlhf.home).list_artifacts(result["run_id"], "sweep")
    assert {"sweep/history.png", "sweep/slices.png", "sweep/sweep.md"} <= {f.path for f in files}
    again = json.loads(rlhf("sweep", path, "--json").stdout)
    assert again["trials"] == result["trials"]

    changed = rlhf("sweep", sweep_file(tmp_path, seeds=3))
    assert changed.returncode == 2
    assert "seeds was 2, now 3" in changed.stderr


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"space": {"optimiser.lerning_rate": [1, 2]}}, "space.optimiser.lerning_rate: "),
        ({"experiment": "pendulum"}, "unknown preset 'pendulum'"),
        ({"trials": 0}, "trials: "),
        ({"experiment": {**TINY, "annotator": {"kind": "human"}}}, "simulated annotators"),
    ],
)
def test_bad_input_is_one_line(
    changes: dict[str, Any], message: str, rlhf: Command, tmp_path: Path
) -> None:
    rlhf.home = tmp_path / "home"
    done = rlhf("sweep", sweep_file(tmp_path, **changes))
    assert done.returncode == 2
    assert message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not (rlhf.home / "sweeps").exists()


@pytest.mark.parametrize("improvement", [None, 0.8])
def test_the_answer_of_one_fresh_seed_has_no_interval(improvement: float | None) -> None:
    sweep = Sweep.model_validate({**SWEEP, "final_seeds": 1})
    one = {"iqm": -15.8, "ci_low": None, "ci_high": None, "improvement": improvement}
    sentence = answer(sweep, "trial-0", {"trial-0": one, USUAL: {**one, "iqm": -20.0}})
    assert sentence.startswith(
        "On 1 fresh seed trial-0 reaches an IQM of -15.8, the experiment as it "
    )
    assert ("probability" in sentence) == (improvement is not None)
