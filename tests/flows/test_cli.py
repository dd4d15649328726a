"""What the command shows."""

import json
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
from typer.testing import CliRunner

from flows.command import catalogue
from flows.command.app import app
from flows.experiments import presets
from rlhf_core.configuration import from_mapping, load
from tests.flows.conftest import tiny_file


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys; from typer.testing import CliRunner; from flows.command.app import app; "
        "assert CliRunner().invoke(app, ['--help']).exit_code == 0; "
        "heavy = {'torch', 'prefect', 'mlflow', 'pandas', 'stable_baselines3', 'gymnasium'}; "
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_run_is_looked_up_without_prefect() -> None:
    # Prefect reads the address of its server when it is imported. A command that imported it before
    # the address is known would start a server of its own and leave it behind.
    code = "import sys, tasks.runs.lifecycle, tasks.tracking.store; print('prefect' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_list_names_every_plugin_with_fields_defaults_and_meaning() -> None:
    content = json.loads(CliRunner().invoke(app, ["list", "--json"]).stdout)
    assert list(content["presets"]) == presets.names()
    assert all(meaning.endswith(".") for meaning in content["presets"].values())
    assert set(content["plugins"]) == set(catalogue.FAMILIES)
    assert content["experiment"]["budget.labels"]["default"] == 200
    assert all(field["meaning"] for field in content["experiment"].values())
    field = content["plugins"]["queries"]["disagreement"]["fields"]["oversample"]
    assert field == {
        "required": False,
        "default": 10,
        "meaning": "Candidates drawn for each question that is asked.",
    }
    for kinds in content["plugins"].values():
        for kind, plugin in kinds.items():
            assert plugin["meaning"], kind
            assert all(f["meaning"] for f in plugin["fields"].values()), kind


def test_list_can_be_read_by_a_person() -> None:
    shown = CliRunner().invoke(app, ["list", "queries"]).stdout
    assert "kind disagreement" in shown
    assert "oversample" in shown
    assert "experiment" not in shown


def test_list_cuts_no_name_short_in_a_narrow_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    assert "reward_model.learning_rate" in CliRunner().invoke(app, ["list", "--all"]).stdout


def test_list_alone_has_one_line_for_each_name() -> None:
    lines = CliRunner().invoke(app, ["list"]).stdout.splitlines()
    names = [line.split()[0] for line in lines if line.startswith("  ")]
    assert len(lines) < len(names) + 40
    kinds = [kind for family in catalogue.FAMILIES.values() for kind in family.kinds()]
    assert sorted(names) == sorted([*presets.names(), *kinds])


def test_list_shows_what_is_named() -> None:
    def shown(name: str) -> str:
        return CliRunner().invoke(app, ["list", name]).stdout

    assert "oversample: 10" in shown("disagreement")
    assert "coverage" not in shown("disagreement")
    assert shown("pendulum-preference").startswith(
        "preset pendulum-preference: Swing up and balance a pendulum"
    )
    assert "budget.labels: 200" in shown("experiment")
    # Fields that kinds share are shown once.
    assert shown("optimisers").count("gae_lambda: 0.95") == 1
    assert "optimisers: fields of a2c, ppo, recurrent_ppo, trpo" in shown("optimisers")


def expect_extra(preset: str) -> None:
    """Skip where the preset needs an extra that is not installed."""
    if preset in ("randomwalks-preferences", "sentiment-preferences"):
        pytest.importorskip("transformers")


@pytest.mark.parametrize("preset", presets.names())
def test_show_prints_a_file_that_can_be_run(preset: str, tmp_path: Path) -> None:
    expect_extra(preset)
    done = CliRunner().invoke(app, ["show", preset])
    assert done.stdout.startswith("# ")
    (tmp_path / "mine.yaml").write_text(done.stdout)
    assert load(tmp_path / "mine.yaml") == load(presets.find(preset))


def test_check_prints_every_field_as_json() -> None:
    done = CliRunner().invoke(app, ["check", "pendulum-preference", "--seed", "4", "--json"])
    content = json.loads(done.stdout)
    assert content["seed"] == 4
    assert content["feedback"]["kind"] == "preference"
    assert from_mapping(content) == load(presets.find("pendulum-preference"), ["seed=4"])


def test_the_version_is_that_of_the_package() -> None:
    assert CliRunner().invoke(app, ["--version"]).stdout == f"rlhf-flows {version('rlhf-flows')}\n"


def test_help_has_examples() -> None:
    assert "rlhf show pendulum-preference > mine.yaml" in CliRunner().invoke(app, ["--help"]).stdout
    for command in ("train", "check", "list", "show"):
        assert f" rlhf {command} " in CliRunner().invoke(app, [command, "--help"]).stdout


@pytest.mark.parametrize("preset", presets.names())
def test_every_preset_is_valid(preset: str) -> None:
    expect_extra(preset)
    done = CliRunner().invoke(app, ["check", preset])
    assert done.exit_code == 0, done.output
    assert done.stdout.startswith("ok: ")
    assert done.stderr == ""


def test_one_line_swaps_the_strategy_and_what_it_leaves_unused_is_said(tmp_path: Path) -> None:
    path = tiny_file(tmp_path)
    path.write_text(path.read_text().replace("kind: preference", "kind: true_reward"))
    done = CliRunner().invoke(app, ["check", str(path)])
    assert done.exit_code == 0
    assert "ok: tiny: true_reward on Pendulum-v1" in done.stdout
    (line,) = done.stderr.splitlines()
    assert line == "note: 'true_reward' does not use reward_model, segment_steps"


def test_set_overrides_any_field(tmp_path: Path) -> None:
    overrides = ["--set", "feedback.queries=uniform", "--set", "budget.labels=7"]
    done = CliRunner().invoke(app, ["check", str(tiny_file(tmp_path)), *overrides])
    assert "7 labels" in done.stdout
