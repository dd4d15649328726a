"""Bad input: one clear line, status 2, no traceback."""

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from flows.command.app import app
from tests.flows.conftest import Command, tiny_file


def refused(*arguments: str) -> str:
    """What the command says when it refuses its arguments."""
    done = CliRunner().invoke(app, list(arguments))
    assert done.exit_code == 2, done.output
    (line,) = done.stderr.strip().splitlines()
    assert line.startswith("error: ")
    return line


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"enviroment": {}}, "unknown field 'enviroment'; did you mean 'environment'?"),
        ({"budget": {"label": 5}}, "budget: unknown field 'label'; did you mean 'labels'?"),
        (
            {"feedback": {"kind": "preference", "queries": {"oversmaple": 3}}},
            "feedback.queries: unknown field 'oversmaple'; did you mean 'oversample'?",
        ),
        ({"seed": "many"}, "seed: expected a valid integer"),
        ({"optimiser": {"learning_rate": -1}}, "optimiser.learning_rate: expected greater"),
        ({"environment": {"id": "Pendulm-v1", "count": 4}}, "did you mean 'Pendulum-v1'?"),
        ({"environment": {"id": "no_such_module:A-v0", "count": 4}}, "environment.id: cannot make"),
        ({"environment": {"count": 3}}, "environment.id: expected a value, actual: none"),
        (
            {"environment": {"id": "Pendulum-v1", "count": 4, "options": {"mass": 2}}},
            "environment.options: 'Pendulum-v1' does not take ['mass']",
        ),
        (
            {"feedback": {"kind": "preferences"}},
            "feedback: unknown kind 'preferences'; did you mean 'preference'? valid: constant,",
        ),
        (
            {"optimiser": "reinforce"},
            "optimiser: unknown kind 'reinforce'; valid: a2c, ars, cma_es, dpo",
        ),
        ({"budget": {"env_steps": 100}}, "budget.env_steps: expected at least"),
        ({"name": "a/b"}, "name: expected a letter or digit, then letters"),
    ],
)
def test_a_wrong_experiment_is_refused(tmp_path: Path, changes: dict[str, Any], told: str) -> None:
    assert told in refused("check", str(tiny_file(tmp_path, **changes)))


def test_an_unknown_preset_names_the_nearest_one() -> None:
    line = refused("train", "pendulum-preferences")
    assert "unknown preset 'pendulum-preferences'; did you mean 'pendulum-preference'?" in line


def test_a_missing_file_is_named() -> None:
    assert "no-such-file.yaml: cannot be read" in refused("check", "no-such-file.yaml")


def test_a_syntax_error_names_line_and_column(tmp_path: Path) -> None:
    path = tmp_path / "broken.yaml"
    path.write_text("name: a\nbudget: {rounds: 1\n")
    assert "not valid YAML: line 3, column 1" in refused("check", str(path))


def test_an_override_must_have_a_field_and_a_value() -> None:
    line = refused("check", "pendulum-preference", "--set", "seed")
    assert "--set: expected field.field=value, actual: 'seed'" in line


def test_an_unknown_family_is_refused() -> None:
    assert "unknown name 'query'; did you mean 'queries'?" in refused("list", "query")
    assert "unknown preset 'pendulum'; did you mean" in refused("show", "pendulum")


def test_a_store_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    line = refused("train", "pendulum-preference", "--home", str(tmp_path / "file" / "home"))
    assert "cannot be written" in line
    assert "--home" in line


def test_a_tracking_server_that_does_not_answer_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    line = refused("resume", "0123", "--home", str(tmp_path))
    assert "tracking server http://127.0.0.1:9 does not answer" in line


def test_training_without_a_tracking_server_is_refused(rlhf: Command) -> None:
    done = rlhf("train", "pendulum-preference", MLFLOW_TRACKING_URI="http://127.0.0.1:9")
    assert done.returncode == 2
    assert "tracking server http://127.0.0.1:9 does not answer" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_prefect_server_that_does_not_answer_is_refused(rlhf: Command) -> None:
    done = rlhf("train", "pendulum-preference", PREFECT_API_URL="http://127.0.0.1:9/api")
    assert done.returncode == 2
    assert "Prefect server http://127.0.0.1:9/api does not answer" in done.stderr


def test_an_unknown_run_cannot_be_resumed(shared_home: Path) -> None:
    line = refused("resume", "0123456789abcdef", "--home", str(shared_home))
    assert "run '0123456789abcdef' is not known to" in line
