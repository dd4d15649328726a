"""A comparison: equal numbers, holes with reasons, and nothing played twice however it ends."""

import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from rlhf_core.configuration import changed
from rlhf_core.in_process import run
from tests.flows.conftest import LONGEST_SECONDS, TINY, Command, client_of, wait_until

# No speed is expected of the machine: the limits end a wait for what never happens.
pytestmark = pytest.mark.timeout(5 * LONGEST_SECONDS)

BROKEN = """
import os
from pathlib import Path

import gymnasium as gym
from gymnasium.envs.classic_control import PendulumEnv


class Stuck(PendulumEnv):
    steps = 0

    def step(self, action):
        Stuck.steps += 1
        if Stuck.steps > 300:
            raise RuntimeError("the motor is stuck")
        return super().step(action)


class Refusing(PendulumEnv):
    def __init__(self, render_mode=None):
        # Of the command it may be made; a worker of the command may not.
        if Path("made").exists():
            raise ValueError("the port is taken")
        super().__init__(render_mode)


gym.register("Stuck-v0", entry_point="broken:Stuck", max_episode_steps=40)
gym.register("Refusing-v0", entry_point="broken:Refusing", max_episode_steps=40)
"""
VARIANTS: dict[str, dict[str, Any]] = {
    "base": {},
    "myopic": {"optimiser.discount": 0.9},
    "labels": {"budget.labels": 30},
    "rated": {"feedback.kind": "direct_reward"},
    "truth": {"feedback.kind": "true_reward"},
    "null": {"feedback.kind": "constant"},
    "mixed": {"feedback.kind": "mixed"},
    "uniform": {"feedback.queries.kind": "uniform"},
    "covered": {"feedback.queries.kind": "coverage"},
    "wide": {"optimiser.hidden": [16]},
}
HOLES = {
    "stuck": {"environment.id": "broken:Stuck-v0"},
    "refusing": {"environment.id": "broken:Refusing-v0"},
}


def matrix_file(folder: Path, **fields: Any) -> str:
    content = {"name": "twelve", "experiment": TINY, "seeds": [5], **fields}
    path = folder / "twelve.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    return str(path)


def expected(changes: dict[str, Any], seed: int = 5) -> float:
    """The true return of a run in this process."""
    experiment = changed(TINY, changes, "tiny").model_copy(update={"seed": seed})
    return run(experiment).metrics["eval/true_return_iqm"]


def members(home: Path, name: str) -> list[Any]:
    """The runs of a comparison in MLflow."""
    client = client_of(home)
    experiments = [e.experiment_id for e in client.search_experiments()]
    return list(client.search_runs(experiments, f"tags.`rlhf.group` = '{name}'"))


def returns(result: dict[str, Any]) -> dict[str, float]:
    return {f"{run['cell']}-s{run['seed']}": run["true_return"] for run in result["runs"]
            if run["true_return"] is not None}  # fmt: skip


def test_a_comparison_killed_three_times_has_its_numbers_and_its_holes(
    rlhf: Command, tmp_path: Path
) -> None:
    (tmp_path / "broken.py").write_text(BROKEN)
    file = matrix_file(tmp_path, variants={**VARIANTS, **HOLES}, name="killed")
    done = list[int]()
    for finished in (1, 4, 7):
        process = rlhf.start("compare", file, "--workers", "2")
        if not done:
            # Everything is valid; then the port is taken.
            wait_until(lambda: bool(members(rlhf.home, "killed")))
            (tmp_path / "made").touch()
        wait_until(lambda count=finished: ended(rlhf.home, "killed") >= count)  # type: ignore[misc]
        process.kill()
        process.communicate()
        (tmp_path / "made").unlink()
        done.append(ended(rlhf.home, "killed"))
        time.sleep(1.5)  # Workers look every second whether their parent is there.
    ...


def ended(home: Path, name: str) -> int:
    return sum(run.info.status == "FINISHED" for run in members(home, name))
