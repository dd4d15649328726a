"""`rlhf generalise`, run as a user runs it."""

import json
from pathlib import Path

import yaml

from tests.flows.conftest import TINY, Command, client_of

STUDY = {
    "name": "swings",
    "experiment": {
        **TINY,
        "feedback": {"kind": "true_reward"},
        "budget": {"env_steps": 300, "labels": 0, "rounds": 1, "initial_steps": 40},
    },
    "physics": {"default": {"gravity": 10}, "random": {"gravity": [5, 15]}},
    "success": {"return_at_least": -300},
    "episodes": 4,
    "seeds": 1,
}


def test_policies_are_measured_in_every_physics(rlhf: Command, tmp_path: Path) -> None:
    file = tmp_path / "swings.yaml"
    file.write_text(yaml.safe_dump(STUDY))
    result = json.loads(rlhf("generalise", str(file), "--workers", "1", "--json").stdout)
    pairs = [(one["trained_in"], one["measured_in"]) for one in result["rates"]]
    assert pairs == [(a, b) for a in STUDY["physics"] for b in STUDY["physics"]]
    client = client_of(rlhf.home)
    artifacts = [one.path for one in client.list_artifacts(result["run_id"])]
    assert "generalisation.md" in artifacts
    experiment = client.get_run(result["run_id"]).info.experiment_id
    runs = [
        run for run in client.search_runs([experiment])
        if "generalisation/random_return_mean" in run.data.metrics
    ]  # fmt: skip
    assert len(runs) == 2
    assert all(-2000 < run.data.metrics["generalisation/random_return_mean"] < 0 for run in runs)
