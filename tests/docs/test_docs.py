"""The documents tell the truth: their code runs and their tables are complete."""

import importlib
import re
import shlex
import shutil
import subprocess
import sys
from configparser import ConfigParser
from pathlib import Path
from typing import Any

import gymnasium
import pytest
import yaml
from typer.testing import CliRunner

from flows.command import catalogue
from flows.command.app import app
from flows.comparison import plan
from flows.schedules.definition import Schedule, of_home, read_file
from rlhf_core import in_process
from rlhf_core.configuration import from_mapping, validated
from rlhf_core.evaluation.early_ends import EARLY_ENDS
from rlhf_core.matrix import Matrix
from rlhf_core.round_metrics import ROUND_COUNTS, TOTALS
from tasks.home import Home
from tests.core.examples import HERE
from tests.flows.conftest import TINY

ROOT = Path(__file__).parents[2]
STAGES = ("collect", "prepare", "ask", "answer", "fit", "optimise", "evaluate")
OWN = ROOT / "docs" / "own-environment.md"
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])


def blocks(language: str) -> list[Any]:
    """Fenced code of one language in all pages."""
    found = []
    for page in PAGES:
        for index, code in enumerate(
            re.findall(rf"```{language}\n(.*?)```", page.read_text(), re.S)
        ):
            found.append(pytest.param(code, id=f"{page.stem}-{index}"))
    return found


def saved_file(name: str, language: str) -> str:
    """A file that the page about one's own environment has the reader save."""
    code = re.search(rf"Save this as `{name}`:\n\n```{language}\n(.*?)```", OWN.read_text(), re.S)
    assert code is not None
    return code.group(1)


@pytest.mark.parametrize("code", blocks("python"))
def test_python_in_the_documents_runs(
    code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "cart_env.py").write_text(saved_file("cart_env.py", "python"))
    monkeypatch.delitem(gymnasium.registry, "Cart-v0", raising=False)
    if "transformers" in code:
        pytest.importorskip("transformers")
    exec(compile(code, "documentation", "exec"), {"__name__": "documentation"})


@pytest.mark.parametrize("code", blocks("yaml"))
def test_experiments_comparisons_and_schedules_in_the_documents_are_valid(
    code: str, tmp_path: Path
) -> None:
    content = yaml.safe_load(code)
    if "schedules" in content:
        for one in schedules_of(code, tmp_path):
            one.check()
    elif "experiment" in content:
        assert plan.cells(validated(Matrix, content, "documentation"))
    else:
        from_mapping(content)


def schedules_of(code: str, folder: Path) -> tuple[Schedule, ...]:
    """The schedules of a YAML block."""
    (folder / "schedules.yaml").write_text(code)
    return read_file(folder / "schedules.yaml")


def test_the_page_about_recurring_training_is_true(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its lines are called in order; only what waits for `rlhf serve` or plays is left out."""
    page = (ROOT / "docs" / "recurring.md").read_text()
    (written,) = re.findall(r"```yaml\n(.*?)```", page, re.S)
    schedules_of(written, tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RLHF_HOME", str(tmp_path / "home"))
    called = []
    for line in "".join(re.findall(r"```console\n(.*?)```", page, re.S)).splitlines():
        program, *arguments = shlex.split(line, comments=True)
        assert program == "rlhf"
        if arguments[0] == "schedule" and arguments[1] != "run-now":
            done = CliRunner().invoke(app, arguments)
            assert done.exit_code == 0, (line, done.stderr)
            called.append(arguments[1])
    assert called == ["add", "list", "show", "pause", "resume", "remove", "apply", "apply"]
    assert [one.name for one in of_home(Home())] == [
        "nightly", "few-labels", "weekly-challenger"
    ]  # fmt: skip


def test_the_compose_file_and_the_unit_of_the_documents_start_serve() -> None:
    folder = ROOT / "docs" / "services"
    service = yaml.safe_load((folder / "compose.yaml").read_text())["services"]["serve"]
    assert service["command"] == ["rlhf", "serve"]
    assert service["environment"]["RLHF_HOME"].startswith("/runs/")
    assert service["volumes"] == ["runs:/runs"]
    unit = ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read(folder / "rlhf-serve.service")
    assert unit["Service"]["ExecStart"].endswith("/bin/rlhf serve")
    assert unit["Service"]["Restart"] == "on-failure"


def test_docker_takes_the_compose_file() -> None:
    docker = shutil.which("docker")
    command = [docker or "docker", "compose"]
    if docker is None or subprocess.run([*command, "version"], capture_output=True).returncode:
        pytest.skip("docker compose is not installed")
    file = str(ROOT / "docs" / "services" / "compose.yaml")
    done = subprocess.run(
        [*command, "-f", file, "config", "--quiet"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_prefect_takes_the_deployments_that_ship() -> None:
    content = yaml.safe_load((ROOT / "prefect.yaml").read_text())
    for deployment in content["deployments"]:
        module, _, name = deployment["entrypoint"].rpartition(".")
        flow = getattr(importlib.import_module(module), name)
        flow.validate_parameters(deployment["parameters"])
        assert deployment["concurrency_limit"] == {"limit": 1, "collision_strategy": "CANCEL_NEW"}


def test_the_environment_of_the_documents_is_checked_as_they_say(tmp_path: Path) -> None:
    for name, language in (("cart_env.py", "python"), ("cart.yaml", "text")):
        (tmp_path / name).write_text(saved_file(name, language))
    done = subprocess.run(
        [sys.executable, "-m", "flows.command", "check", "cart.yaml"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout in OWN.read_text()


def test_every_kind_stands_in_the_documents() -> None:
    text = "\n".join(page.read_text() for page in PAGES)
    for family in catalogue.FAMILIES.values():
        for kind in family.kinds():
            assert f"`{kind}`" in text, kind


def test_relative_links_lead_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def documented_metrics() -> set[str]:
    table = (ROOT / "docs" / "metrics.md").read_text()
    return set(re.findall(r"^\| `([a-z_]+/[a-z_]+)` \|", table, re.M))


FINAL = {
    "final/true_return_iqm", "final/true_return_mean", "best/true_return_iqm", "final/labels",
    "final/cost", "final/return_per_label", "final/env_steps", "final/seconds",
}  # fmt: skip
"""How a run ended."""
TALKATIVE: list[dict[str, Any]] = [
    # A crowd, three rounds, and a robust fit.
    {
        "annotator": {"kind": "crowd", "workers": 5},
        "feedback": {
            **TINY["feedback"],
            "reward_model": {**TINY["feedback"]["reward_model"], "robust": True},
            "aggregation": {"kind": "crowd_bradley_terry"},
        },
        "budget": {**TINY["budget"], "labels": 60},
    },
    # A class of rewards that held-out answers choose.
    {"feedback": {**TINY["feedback"], "reward_model": {"family": "auto", "epochs": 1}}},
    # An environment that tells of success.
    {
        "environment": {"id": f"{HERE}:Corridor-v0", "count": 4},
        "feedback": {"kind": "direct_reward", "segment_steps": 4},
        "optimiser": {"kind": "dqn", "warmup_steps": 16},
    },
    # Demonstrations, and an evolution strategy.
    {
        "environment": {"id": f"{HERE}:Corridor-v0", "count": 4},
        "feedback": {"kind": "inverse_rl", "warm_start": True, "cloning": {"updates": 20}},
        "annotator": {"kind": "expert", "env_steps": 2048},
        "optimiser": {"kind": "ars", "population": 4},
        "budget": {"env_steps": 400, "labels": 4, "rounds": 2, "initial_steps": 64},
    },
    # Language models, with and without a reward.
    *(
        {
            "environment": {"id": "rlhf/RandomWalks-v0", "count": 4},
            "feedback": {**TINY["feedback"], "segment_steps": 9, "same_start": True},
            "optimiser": {"kind": kind, "fine_tuning": {"epochs": 0}, **fields},
        }
        for kind, fields in (("dpo", {}), ("grpo", {"group_size": 2, "batch_size": 4}))
    ),
    # Off-policy algorithms.
    *(
        {
            "environment": {"id": id, "count": 4, "time_limit": 40},
            "feedback": {"kind": "true_reward"},
            "optimiser": {"kind": kind, "warmup_steps": 100},
        }
        for kind, id in (("dqn", "CartPole-v1"), ("sac", "Pendulum-v1"))
    ),
]  # fmt: skip
"""Runs that together log everything that there is to log."""


def logged_by_stages() -> set[str]:
    """Names of all metrics that a round gives."""
    given: set[str] = set()
    for changes in TALKATIVE:
        experiment = from_mapping({**TINY, **changes})
        in_process.run(experiment, lambda progress: given.update(progress.metrics))
    return given


def test_every_metric_that_a_round_gives_is_documented_and_the_other_way_round() -> None:
    pytest.importorskip("transformers")
    # Tasks add times and steps, and leave out the counts that the totals are made of.
    times = {f"time/{name}" for name in (*STAGES, "report", "orchestration")}
    rounds = logged_by_stages() - set(ROUND_COUNTS)
    expert = {"expert/true_return_mean", "expert/episodes", "expert/steps"}
    once = {"policy/steps", "eval/first_return_iqm", EARLY_ENDS, *expert, *FINAL}
    assert documented_metrics() == rounds | {*TOTALS.values()} | times | once
