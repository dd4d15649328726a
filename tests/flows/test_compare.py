"""A comparison: equal numbers, holes with reasons, and nothing played twice however it ends."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from flows.comparison import plan
from rlhf_core.configuration import changed, validated
from rlhf_core.errors import MatrixError
from rlhf_core.in_process import run
from rlhf_core.matrix import Cell, Matrix
from tasks import live
from tasks.home import Home
from tests.flows.conftest import LONGEST_SECONDS, TINY, Command, client_of, run_ids, wait_until

# No speed is expected of the machine: the limits end a wait for what never happens.
pytestmark = [
    pytest.mark.timeout(5 * LONGEST_SECONDS),
    pytest.mark.filterwarnings("ignore::rlhf_core.errors.UnusedFieldWarning"),
]

BROKEN = """
import os
import sys

import gymnasium as gym
from gymnasium.envs.classic_control.pendulum import PendulumEnv


class Stuck(PendulumEnv):
    steps = 0

    def step(self, action):
        self.steps += 1
        if self.steps > 60:
            raise RuntimeError("the motor is stuck")
        return super().step(action)


class Refusing(PendulumEnv):
    def __init__(self, render_mode=None):
        # The command may make it; the process that plays it may not.
        if "flows.runners.worker" in sys.orig_argv:
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
    "both": {"feedback.kind": "mixed"},
    "uniform": {"feedback.queries.kind": "uniform"},
    "covered": {"feedback.queries.kind": "coverage"},
    "wide": {"optimiser.hidden": [16]},
}
HOLES = {
    "stuck": {"environment.id": "broken:Stuck-v0"},
    "refusing": {"environment.id": "broken:Refusing-v0"},
}


def matrix_file(folder: Path, **fields: Any) -> str:
    content = {"experiment": TINY, "seeds": [5], **fields}
    path = folder / "matrix.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    return str(path)


def expected(changes: dict[str, Any], seed: int = 5) -> float:
    """The true return of a run in this process."""
    experiment = changed(TINY, changes, "tiny").model_copy(update={"seed": seed})
    return run(experiment).metrics["eval/true_return_iqm"]


def members(home: Path, name: str) -> list[Any]:
    """The runs that a comparison began, in MLflow."""
    client = client_of(home)
    experiments = [e.experiment_id for e in client.search_experiments()]
    return list(client.search_runs(experiments, f"tags.`rlhf.group` = '{name}'"))


def finished(home: Path, name: str) -> int:
    """Runs that are finished, read without the database, which a first command is still making."""
    playing = [state for state in live.read(Home(home)) if state.name == name]
    return (
        sum(run.state in (live.FINISHED, live.REUSED) for run in playing[0].runs) if playing else 0
    )


def returns(result: dict[str, Any]) -> dict[tuple[str, int], float]:
    return {
        (run["cell"], run["seed"]): run["true_return"]
        for run in result["runs"]
        if run["true_return"] is not None
    }


def test_a_comparison_killed_three_times_has_its_numbers_and_its_holes(
    rlhf: Command, tmp_path: Path
) -> None:
    (tmp_path / "broken.py").write_text(BROKEN)
    file = matrix_file(tmp_path, variants={**VARIANTS, **HOLES}, name="killed")
    for count in (1, 4, 7):
        process = rlhf.start("compare", file, "--workers", "2")
        wait_until(
            lambda count=count: finished(rlhf.home, "killed") >= count,  # type: ignore[misc]
            process=process,
        )
        process.kill()
        process.communicate()
    done = rlhf("compare", file, "--workers", "2", "--json")
    assert done.returncode == 1, done.stderr
    result = json.loads(done.stdout)

    found = returns(result)
    assert {cell.rpartition("-")[2]: value for (cell, _), value in found.items()} == {
        name: expected(changes) for name, changes in VARIANTS.items()
    }
    reasons = {hole["cell"].rpartition("-")[2]: hole["reason"] for hole in result["failed"]}
    assert set(reasons) == {*HOLES}
    assert "failed in step() in step 61: RuntimeError: the motor is stuck" in reasons["stuck"]
    assert "broken.py:" in reasons["stuck"]
    assert "the port is taken" in reasons["refusing"]
    # One run a cell; one that cannot even be opened has none.
    statuses = sorted(run.info.status for run in members(rlhf.home, "killed"))
    assert statuses.count("FINISHED") == len(VARIANTS)
    assert len(statuses) <= len(VARIANTS) + len(HOLES)
    assert "RUNNING" not in statuses
    page = Path(result["report"]).read_text()
    assert "the motor is stuck" in page
    assert "the port is taken" in page


def test_a_comparison_grows_reuses_what_is_finished_and_refuses_another_definition(
    rlhf: Command, tmp_path: Path
) -> None:
    single = rlhf.train("--seed", "11")
    vary = {"feedback.kind": ["preference", "constant"]}
    file = matrix_file(tmp_path, vary=vary, name="growing", seeds=[11])
    done = rlhf("compare", file, "--workers", "1", "--json")
    assert done.returncode == 0, done.stderr
    first = json.loads(done.stdout)
    # The run that `rlhf train` had made counts, with its numbers.
    assert first["runs"][0]["run_id"] == single["run_id"]
    assert returns(first)["preference-ppo", 11] == single["true_return_iqm"]
    assert len(members(rlhf.home, "growing")) == 1

    grown = rlhf("compare", file, "--workers", "1", "--json", "--seeds", "11,12")
    assert grown.returncode == 0, grown.stderr
    assert "2 of 4 runs are finished already" in grown.stderr
    second = json.loads(grown.stdout)
    assert returns(second).items() >= returns(first).items()
    assert returns(second)["preference-ppo", 12] == expected({}, seed=12)
    assert second["run_id"] == first["run_id"]
    assert len(members(rlhf.home, "growing")) == 3
    # Whoever played a run, its tags say which cell and which comparison it is of.
    client = client_of(rlhf.home)
    tags = {run["run_id"]: client.get_run(run["run_id"]).data.tags for run in second["runs"]}
    assert [tag["rlhf.comparison.growing"] for tag in tags.values()] == ["member"] * 4
    asked = [tag["rlhf.cell"] for tag in tags.values() if tag["strategy"] == "preference"]
    assert asked == [tags[single["run_id"]]["rlhf.cell"]] * 2
    assert len({tag["rlhf.cell"] for tag in tags.values()}) == 2

    # What an earlier call played stays in the comparison.
    fewer = json.loads(rlhf("compare", file, "--json", "--seeds", "12,").stdout)
    assert returns(fewer) == returns(second)
    assert {row["seeds"] for row in fewer["table"]} == {2}

    dry = rlhf("compare", file, "--seeds", "11,12,13", "--dry-run")
    assert dry.returncode == 0
    assert "tiny/preference-ppo: 1 of 3 runs to play, about" in dry.stdout
    assert "2 cells, 6 runs, 2 to play, about" in dry.stdout

    refused = rlhf("compare", file, "--set", "budget.labels=12", "--dry-run")
    assert refused.returncode == 2
    assert "tiny/preference-ppo: budget.labels was 9, now 12" in refused.stderr
    assert not refused.stdout
    refused = rlhf("compare", file, "--set", "budget.labels=12")
    assert refused.returncode == 2
    (line,) = [text for text in refused.stderr.splitlines() if text.startswith("error: ")]
    assert "comparison 'growing' was defined otherwise" in line
    assert "tiny/preference-ppo: budget.labels was 9, now 12" in line
    assert len(members(rlhf.home, "growing")) == 3


def test_tasks_on_one_environment_stand_side_by_side(rlhf: Command, tmp_path: Path) -> None:
    other = {**TINY, "name": "other", "budget": {**TINY["budget"], "env_steps": 1500}}
    file = matrix_file(
        tmp_path, experiment=[TINY, other], name="tasks", seeds=[41], set={"feedback": "constant"}
    )
    done = rlhf("compare", file, "--json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert [(row["task"], row["cell"]) for row in result["table"]] == [
        ("tiny", "constant-ppo"),
        ("other", "constant-ppo"),
    ]
    client = client_of(rlhf.home)
    experiments = [e.experiment_id for e in client.search_experiments()]
    rule = "tags.`rlhf.kind` = 'cell' AND tags.`rlhf.comparison` = 'tasks'"
    summaries = client.search_runs(experiments, rule)
    assert {run.data.tags["rlhf.cell"] for run in summaries} == {
        "tiny/constant-ppo",
        "other/constant-ppo",
    }
    page = Path(result["report"]).read_text()
    assert page.count("data:image/gif") == 2
    report = rlhf("report", "tasks", "--format", "csv").stdout
    assert [line.split(",")[:2] for line in report.splitlines()[1:]] == [
        ["tiny", "constant-ppo"],
        ["other", "constant-ppo"],
    ]


def test_fail_fast_ends_the_others_which_go_on_later(rlhf: Command, tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text(BROKEN)
    variants = {"refusing": HOLES["refusing"], "base": {}, "null": {"feedback.kind": "constant"}}
    file = matrix_file(tmp_path, variants=variants, name="fast", seeds=[21])
    done = rlhf("compare", file, "--workers", "1", "--json", "--fail-fast")
    assert done.returncode == 1
    reasons = [hole["reason"] for hole in json.loads(done.stdout)["failed"]]
    assert len(reasons) == 3
    assert "the port is taken" in reasons[0]
    assert reasons[1:] == ["not played: another run failed before"] * 2
    later = rlhf("compare", file, "--workers", "1", "--json")
    assert later.returncode == 1
    assert len(json.loads(later.stdout)["failed"]) == 1


def test_ctrl_c_closes_the_runs_and_the_same_command_goes_on(rlhf: Command, tmp_path: Path) -> None:
    import signal

    # Enough runs that some are left, however late the first one is noticed.
    seeds = [31, 32, 33, 34, 35, 36]
    file = matrix_file(tmp_path, seeds=seeds, name="interrupted")
    process = rlhf.start("compare", file, "--workers", "1")
    wait_until(lambda: finished(rlhf.home, "interrupted") >= 1, process=process)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate()
    assert process.returncode == 130
    assert "to go on: the same command again" in err
    statuses = [run.info.status for run in members(rlhf.home, "interrupted")]
    assert "RUNNING" not in statuses
    done = rlhf("compare", file, "--workers", "1", "--json")
    assert done.returncode == 0, done.stderr
    assert returns(json.loads(done.stdout)) == {
        ("preference-ppo", seed): expected({}, seed) for seed in seeds
    }
    assert len(members(rlhf.home, "interrupted")) == len(seeds)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--vary", "budget.label=1,2"), "unknown field 'label'; did you mean 'labels'?"),
        (("--vary", "budget.labels="), "--vary budget.labels=: expected at least one value"),
        (("--vary", "budget.labels"), "--vary: expected field.field=value,value"),
        (("--seeds", ""), "--seeds: expected a number of seeds"),
        (("--seeds", "0"), "seeds: expected"),
        (("--vary", "budget.env_steps=10,2000"), "budget.env_steps: expected at least"),
        (("--control", "nobody"), "control: unknown cell 'nobody'"),
        (("--exclude", "optimiser.kind=ppo"), "exclude: expected at least one cell"),
        (("--exclude", "optimiser.knd=ppo"), "exclude: expected a rule that fits a cell"),
        (("--vary", "budget.labels=8", "--vary", "budget.labels=9"), "each field once"),
    ],
)
def test_bad_input_is_one_line_and_nothing_is_registered(
    rlhf: Command, tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(TINY))
    home = tmp_path / "untouched"
    done = rlhf("compare", "tiny.yaml", *arguments, "--home", str(home))
    assert done.returncode == 2, done.stderr
    (line,) = [text for text in done.stderr.splitlines() if text.startswith("error: ")]
    assert message in line
    assert not home.exists()


def test_cells_that_cannot_be_compared_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    twice = validated(Matrix, {"name": "m", "experiment": [TINY, {**TINY, "name": "b"}]}, "file")
    with pytest.raises(MatrixError) as caught:
        plan.cells(twice)
    assert caught.value.problems == (
        "cell 'b/preference-ppo': expected another configuration than that of cell "
        "'tiny/preference-ppo', actual: the same",
    )
    single = validated(Matrix, {"name": "m", "experiment": TINY}, "file")
    (cell,) = plan.cells(single)
    hidden = cell.experiment.environment.model_copy(update={"true_reward": False})
    experiment = cell.experiment.model_copy(update={"environment": hidden})
    monkeypatch.setattr(Matrix, "cells", lambda *_: [Cell("tiny", "a", {}, experiment)])
    with pytest.raises(MatrixError, match="expected an environment with a true reward"):
        plan.cells(single)


def test_a_report_over_nothing_is_one_line(rlhf: Command) -> None:
    if not run_ids(rlhf.home):
        rlhf.train()
    done = rlhf("report", "nothing")
    assert done.returncode == 2
    assert "unknown comparison 'nothing'" in done.stderr
    done = rlhf("report", "--filter", "strategy=sign_flipped")
    assert done.returncode == 2
    assert "expected finished runs to report on, actual: none that fits" in done.stderr
