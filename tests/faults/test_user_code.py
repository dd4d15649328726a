"""Code of users that breaks, exits, talks, or has the names of our own modules."""

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import pytest
from typer.testing import CliRunner

from flows.command import catalogue
from flows.command.app import app
from rlhf_core import plugin
from rlhf_core.errors import ConfigurationError
from rlhf_core.queries import QUERIES
from tests.flows.conftest import Command, client_of, tiny_file

pytestmark = pytest.mark.faults

MODULE = """
import atexit, os, sys
import gymnasium
import numpy as np

print("imported")
atexit.register(print, "the end")

class Mine(gymnasium.Env):
    def __init__(self):
        self.observation_space = gymnasium.spaces.Box(-1, 1, (2,))
        self.action_space = gymnasium.spaces.Box(-1, 1, (1,))

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        print("begins")
        self.taken = 0
        return np.zeros(2, dtype=np.float32), {}

    def step(self, action):
        self.taken += 1
        if self.taken == 5:
            os.write(1, b"speaks for itself\\n")
            STEP
        return np.full(2, 0.5, dtype=np.float32), 1.0, False, False, {}

gymnasium.register("Mine-v0", Mine, max_episode_steps=40)
"""
COLLIDING = ("tasks", "yaml", "mlflow", "rlhf_core", "joblib", "numpy")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A working folder whose modules have the names of ours and of installed ones."""
    for name in COLLIDING:
        (tmp_path / f"{name}.py").write_text("raise SystemExit('a file of the user was imported')")
    (tmp_path / "flows").mkdir()
    (tmp_path / "flows" / "__init__.py").write_text("raise SystemExit('flows was imported')")
    tiny_file(
        tmp_path,
        environment={"id": "mine:Mine-v0", "count": 2},
        budget={"env_steps": 500, "labels": 9, "rounds": 2, "initial_steps": 160},
    )
    (tmp_path / "mine.py").write_text(MODULE.replace("STEP", "pass"))
    return tmp_path


def command(rlhf: Command, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """The command as the script `rlhf` starts it: without the working folder on the path."""
    process = rlhf.script("-P", "-m", "flows.command", *arguments)
    out, err = process.communicate()
    return subprocess.CompletedProcess(arguments, process.returncode, out, err)


def test_an_environment_that_exits_fails_the_run_and_the_mended_one_goes_on(
    rlhf: Command, folder: Path
) -> None:
    (folder / "mine.py").write_text(MODULE.replace("STEP", "sys.exit(0)"))
    done = command(rlhf, "check", "tiny.yaml")
    assert (done.returncode, done.stdout.count("\n")) == (0, 1), done.stderr

    done = command(rlhf, "train", "tiny.yaml", "--json")
    assert (done.returncode, done.stdout) == (1, "")
    talk = ("imported", "begins", "speaks for itself", "the end")
    lines = [line for line in done.stderr.splitlines() if not line.startswith(talk)]
    started, stopped, error = lines
    run_id = started.rpartition(" ")[2]
    assert stopped.startswith("stopped; to go on: rlhf resume ")
    place = "(mine.py:24)"
    text = "failed in step() in step 5: SystemExit: sys.exit(0) was called"
    assert error.startswith(f"error: environment.id: 'mine:Mine-v0' {text} {place}; the whole")
    log = Path(error.rpartition(" ")[2])
    assert log.parent == rlhf.home / "logs"

    run = client_of(rlhf.home).get_run(run_id)
    assert run.info.status == "FAILED"
    assert text in run.data.tags["rlhf.reason"]
    artifact = Path(urlparse(run.info.artifact_uri).path) / "errors" / "traceback.txt"
    for path in (log, artifact):
        assert "sys.exit(0)" in path.read_text()
        assert "Traceback (most recent call last)" in path.read_text()

    (folder / "mine.py").write_text(MODULE.replace("STEP", "pass"))
    done = command(rlhf, "resume", run_id, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["run_id"] == run_id
    assert "speaks for itself" in done.stderr
    assert "the end" in done.stderr


def test_a_password_in_an_exception_stands_in_no_artifact_tag_or_log(
    rlhf: Command, folder: Path
) -> None:
    """What Prefect writes down is searched too."""
    rlhf.environment["WHERE"] = "postgresql://me:hunter4secret@db.example/x"
    step = 'raise OSError("no answer from " + os.environ["WHERE"])'
    (folder / "mine.py").write_text(MODULE.replace("STEP", step))
    done = command(rlhf, "train", "tiny.yaml", "--json")
    assert (done.returncode, done.stdout) == (1, "")
    assert "no answer from postgresql://me:***@db.example/x" in done.stderr
    tracebacks = [path for path in rlhf.home.rglob("*") if path.name == "traceback.txt"]
    assert any("me:***@db.example" in path.read_text() for path in tracebacks)
    for path in rlhf.home.rglob("*"):
        if path.is_file():
            assert b"hunter4secret" not in path.read_bytes(), path
    assert "hunter4secret" not in done.stderr


def test_workers_import_nothing_of_the_working_folder_in_place_of_ours(
    rlhf: Command, folder: Path
) -> None:
    overrides = ["feedback=constant", "optimiser={kind: ars, population: 4, processes: 2}"]
    arguments = [part for text in overrides for part in ("--set", text)]
    done = command(rlhf, "train", "tiny.yaml", "--json", *arguments)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["optimiser"] == "ars"


def test_list_reads_nothing_of_the_working_folder(rlhf: Command, folder: Path) -> None:
    done = command(rlhf, "list", "--json")
    assert done.returncode == 0, done.stderr
    assert "plugins" in json.loads(done.stdout)


def test_the_pages_import_nothing_of_the_working_folder(rlhf: Command, folder: Path) -> None:
    process = rlhf.script("-P", "-m", "flows.command", "ui")
    assert process.stdout is not None
    lines = iter(process.stdout.readline, "")
    assert any(line.startswith("MLflow") for line in lines), process.communicate()
    process.send_signal(signal.SIGINT)
    process.communicate()


@pytest.mark.parametrize("name", ["tasks", "yaml", "flows"])
def test_a_module_with_a_name_of_ours_gets_a_sentence(
    name: str, rlhf: Command, folder: Path
) -> None:
    tiny_file(folder, environment={"id": f"{name}:Mine-v0", "count": 2})
    done = command(rlhf, "check", "tiny.yaml")
    assert done.returncode == 2
    own = "flows" if name == "flows" else f"{name}.py"
    assert f"{own} of this folder has the name of an installed module" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_module_that_does_not_import_is_blamed_on_the_id(rlhf: Command, folder: Path) -> None:
    (folder / "mine.py").write_text("import gymnasium\nprint('loading'\n")
    done = command(rlhf, "check", "tiny.yaml")
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert "environment.id: cannot make 'mine:Mine-v0': the module 'mine' cannot be" in line
    assert "SyntaxError" in line
    assert "(mine.py:2)" in line


def test_everything_that_is_printed_goes_to_standard_error() -> None:
    code = (
        "import atexit, os, subprocess, sys\n"
        "from flows.command.streams import prints_on_stderr\n"
        "print('before')\n"
        "with prints_on_stderr():\n"
        "    print('python'); os.write(1, b'descriptor'); subprocess.run(['echo', 'child'])\n"
        "    atexit.register(print, 'exit')\n"
        "print('after')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "before\nafter\n"
    for text in ("python", "descriptor", "child", "exit"):
        assert text in done.stderr


def test_a_result_can_be_printed_while_all_else_goes_to_standard_error() -> None:
    code = (
        "from flows.command.streams import prints_on_stderr, prints_on_stdout\n"
        "with prints_on_stderr():\n"
        "    print('before')\n"
        "    with prints_on_stdout():\n        print('result')\n"
        "    print('after')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("result\n", "before\nafter\n")


def test_a_closed_standard_output_is_no_error() -> None:
    code = (
        "import os\nfrom flows.command.streams import prints_on_stderr\nos.close(1)\n"
        "with prints_on_stderr():\n    print('python')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "python\n" in done.stderr
    assert "prints_on_stderr" not in done.stderr


def one_line(home: Path, error: BaseException, monkeypatch: pytest.MonkeyPatch) -> str:
    """What `rlhf list` says where describing plug-ins raises this error."""

    def describe(family: str | None) -> dict[str, Any]:
        raise error

    monkeypatch.setenv("RLHF_HOME", str(home))
    monkeypatch.setattr(catalogue, "describe", describe)
    done = CliRunner().invoke(app, ["list"])
    assert done.exit_code == 1
    (line,) = done.stderr.splitlines()
    return line


def test_a_defect_of_ours_is_one_line_and_a_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Raised in the source of the command, as far as its file name tells.
    code = compile("def describe(family): raise KeyError('x')", catalogue.__file__, "exec")
    names: dict[str, Any] = {}
    exec(code, names)
    monkeypatch.setenv("RLHF_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(catalogue, "describe", names["describe"])
    done = CliRunner().invoke(app, ["list"])
    assert done.exit_code == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: KeyError: 'x'; this is a defect of rlhf-flows; the whole")
    assert "KeyError" in Path(line.rpartition(" ")[2]).read_text()


def test_an_error_of_a_plug_in_names_its_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "choosy.py"
    code = compile("def select():\n    return 1 / 0\n", str(path), "exec")
    names: dict[str, Any] = {}
    exec(code, names)
    try:
        names["select"]()
    except ZeroDivisionError as error:
        line = one_line(tmp_path / "home", error, monkeypatch)
    assert f"error: ZeroDivisionError: division by zero ({path}:2); the whole" in line
    assert "defect" not in line


def test_what_the_machine_refuses_is_no_defect(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "home").write_text("")
    monkeypatch.setattr("rlhf_core.origin._is_foreign", lambda *arguments: False)
    line = one_line(tmp_path / "home", OSError(28, "No space left on device"), monkeypatch)
    assert line.startswith(
        "error: OSError: [Errno 28] No space left on device; the traceback could"
    )
    assert "defect" not in line


def test_a_plug_in_file_that_exits_is_named_with_its_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import rlhf_core.queries as package

    (tmp_path / "broken_selector.py").write_text("import sys\nsys.exit(0)\n")
    monkeypatch.setattr(package, "__path__", [*package.__path__, str(tmp_path)])
    family = plugin.Family(QUERIES.base, "uniform")
    with pytest.raises(ConfigurationError, match=r"SystemExit: .* \(.*broken_selector\.py:2\)"):
        family.kinds()
