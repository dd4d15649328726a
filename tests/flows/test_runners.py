"""Runners: the same numbers wherever runs are played, and nothing lost with a worker."""

import importlib.util
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from flows.runners import Choice, Job, RunFailedError, chosen
from flows.runners.place import Place, on_this_machine, shared
from flows.runners.playing import played
from flows.runners.remote import summary_of
from rlhf_core import in_process
from rlhf_core.configuration import from_mapping
from rlhf_core.errors import ConfigurationError, StoreError
from rlhf_core.store import Store
from tasks.home import Home
from tasks.tracking.store import prepare
from tasks.tracking.tags import REASON_TAG
from tests.flows.conftest import LONGEST_SECONDS, TINY, Command, client_of, run_ids

pytestmark = pytest.mark.timeout(3 * LONGEST_SECONDS)

FRAGILE = """
import os
import pathlib
import signal

import gymnasium as gym
from gymnasium.envs.classic_control.pendulum import PendulumEnv


class Fragile(PendulumEnv):
    steps = 0

    def step(self, action):
        self.steps += 1
        mark = pathlib.Path(__file__).with_name("killed")
        if self.steps > 50 and not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().step(action)


gym.register("Fragile-v0", entry_point="fragile:Fragile", max_episode_steps=40)
"""


def matrix(folder: Path, **changes: Any) -> Path:
    path = folder / "matrix.yaml"
    content = {"name": "runners", "experiment": {**TINY, **changes}, "seeds": [3]}
    path.write_text(yaml.safe_dump(content))
    return path


@pytest.mark.parametrize(
    ("runner", "module"), [("local", "json"), ("dask", "distributed"), ("ray", "ray")]
)
def test_a_run_has_the_same_numbers_wherever_it_is_played(
    runner: str, module: str, rlhf: Command, tmp_path: Path
) -> None:
    if importlib.util.find_spec(module) is None:
        pytest.skip(f"{module} is not installed")
    rlhf.home = tmp_path / "home"
    done = rlhf("compare", str(matrix(tmp_path)), "--runner", runner, "--json")
    assert done.returncode == 0, done.stderr
    (run,) = json.loads(done.stdout)["runs"]
    expected = in_process.run(from_mapping({**TINY, "seed": 3}))
    assert run["true_return"] == expected.metrics["eval/true_return_iqm"]


def test_a_killed_worker_costs_a_run_one_retry(rlhf: Command, tmp_path: Path) -> None:
    rlhf.home = tmp_path / "home"
    (tmp_path / "fragile.py").write_text(FRAGILE)
    environment = {"id": "fragile:Fragile-v0", "count": 4, "batching": "single"}
    path = matrix(tmp_path, environment=environment, feedback={"kind": "true_reward"})
    done = rlhf("compare", str(path), "--workers", "1", "--json")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "killed").exists()
    (run,) = json.loads(done.stdout)["runs"]
    states = run_ids(rlhf.home)
    assert {*states.values()} == {"FINISHED"}
    tags = client_of(rlhf.home).get_run(run["run_id"]).data.tags
    assert (tags["rlhf.kind"], tags["seed"]) == ("run", "3")


def test_a_run_below_its_bar_is_given_up_and_can_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    home = Home(tmp_path / "home")
    home.store.create()
    parent = prepare(home).client().create_run("0").info.run_id
    job = Job(
        experiment={**TINY, "feedback": {"kind": "true_reward"}}, cell="cell", group="bars",
        parent=parent, prefect_run="none", prefect_page=None, run_id=None, owner="one",
        bar=[(0, -1e9), (500, 0.0)],
    )  # fmt: skip
    summary = played(home, job, lambda event: None)
    steps, true_return = summary["curve"][-1]
    assert len(summary["curve"]) == 2  # Of three rounds.
    wanted = f"given up after {steps} environment steps: {true_return:.4g}, and 0 was wanted"
    assert summary["given_up"] == wanted
    client = client_of(home.path)
    run = client.get_run(summary["run_id"])
    assert (run.info.status, run.data.tags[REASON_TAG]) == ("KILLED", wanted)
    whole = played(home, replace(job, run_id=run.info.run_id, bar=()), lambda event: None)
    assert whole["curve"][:2] == summary["curve"]
    assert client.get_run(run.info.run_id).info.status == "FINISHED"


def test_a_runner_is_chosen_by_one_text() -> None:
    assert chosen("processes") == Choice("processes", None)
    assert chosen("work-pool:gpu") == Choice("work-pool", "gpu")
    assert str(chosen("work-pool:gpu")) == "work-pool:gpu"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("dusk", r"runner: unknown 'dusk'; .*dask"),
        ("", "runner: unknown ''"),
        ("work-pool", "runner: expected work-pool:NAME, actual: 'work-pool'"),
        ("local:8", "runner: expected local alone, actual: 'local:8'"),
        ("dask:", "runner: expected dask:tcp://host:8786, actual: 'dask:'"),
    ],
)
def test_a_runner_that_there_is_not_is_one_line(text: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        chosen(text)


def test_a_missing_extra_names_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigurationError, match=r"pip install 'rlhf-flows\[ray\]'"):
        chosen("ray")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--runner", "dask:tcp://127.0.0.1:9"], "RLHF_STORE: expected an address that every"),
        (["--runner", "local", "--workers", "2"], "workers: expected 1 with the runner local"),
    ],
)
def test_a_runner_that_cannot_play_is_one_line(
    arguments: list[str], message: str, rlhf: Command, tmp_path: Path
) -> None:
    if "dask" in arguments[1] and importlib.util.find_spec("distributed") is None:
        pytest.skip("distributed is not installed")
    done = rlhf("compare", str(matrix(tmp_path)), *arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_a_worker_without_the_store_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with pytest.raises(StoreError, match="is not on this machine"):
        Place(None, str(tmp_path / "nothing")).opened()
    Store(str(tmp_path / "there")).create()
    with pytest.raises(ConfigurationError, match="MLFLOW_TRACKING_URI: expected the address"):
        Place(None, str(tmp_path / "there")).opened()
    assert not (tmp_path / "nothing").exists()


def test_what_workers_of_other_machines_need_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = Home(tmp_path)
    monkeypatch.setenv("RLHF_STORE", str(tmp_path / "store"))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with pytest.raises(ConfigurationError, match="MLFLOW_TRACKING_URI: expected an address"):
        shared(home, "dask")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    with pytest.raises(ConfigurationError, match="expected a server"):
        shared(home, "dask")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:5000")
    assert shared(home, "dask") == Place(None, str(tmp_path / "store"))
    assert on_this_machine(home).home == str(tmp_path)


def test_a_failure_travels_as_it_is() -> None:
    with pytest.raises(RunFailedError, match="the motor is stuck") as caught:
        summary_of({"failed": "the motor is stuck", "run_id": "abc", "lost": False})
    assert caught.value.run_id == "abc"
    assert summary_of({"summary": {"run_id": "x"}}) == {"run_id": "x"}


def test_a_job_is_plain_data() -> None:
    job = Job({"name": "a"}, "cell", "group", "parent", "flow", None, None, "owner")
    assert Job(**json.loads(json.dumps(vars(job)))) == job
