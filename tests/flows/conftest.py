"""The command, run as a user runs it: a process of its own, on a home of its own."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlparse

import pytest
import yaml

from rlhf_core.configuration import from_mapping
from rlhf_core.experiment import Experiment
from tests.flows.preloaded import Preloaded

if TYPE_CHECKING:
    from mlflow import MlflowClient

LONGEST_SECONDS = 600.0
"""After this long a process or an event counts as one that never ends or never comes."""

TINY: dict[str, Any] = {
    "name": "tiny",
    "environment": {"id": "Pendulum-v1", "count": 4, "time_limit": 40},
    "feedback": {
        "kind": "preference",
        "segment_steps": 10,
        "reward_model": {"hidden": [8], "epochs": 3},
    },
    "optimiser": {"kind": "ppo", "steps": 32, "batch_size": 64, "epochs": 2, "hidden": [8]},
    "budget": {"env_steps": 1000, "labels": 9, "rounds": 3, "initial_steps": 160},
    "evaluation": {"episodes": 3},
    "seed": 5,
}


@dataclass
class Command:
    """`rlhf` on one home. `close` ends the processes that still run."""

    home: Path
    folder: Path
    environment: dict[str, str] = field(default_factory=dict)
    preloaded: Preloaded | None = None
    """Who starts the commands; None: each is a process that imports everything itself."""
    started: list["subprocess.Popen[str]"] = field(default_factory=list)

    def close(self) -> None:
        """Kill every process that was started here and has not ended."""
        for process in self.started:
            if process.returncode is None:
                process.kill()
                process.communicate()

    def start(self, *arguments: str, **environment: str) -> "subprocess.Popen[str]":
        """Start the command and return at once."""
        return self.script("-m", "flows.command", *arguments, **environment)

    def python(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Run a script of the user's own to its end."""
        return self._completed(self.script(*arguments))

    def script(self, *arguments: str, **environment: str) -> "subprocess.Popen[str]":
        """Start Python with these arguments and return at once."""
        given = {
            name: value
            for name, value in os.environ.items()
            if name not in ("PREFECT_API_URL", "MLFLOW_TRACKING_URI")
        }
        whole = {
            **given,
            "RLHF_HOME": str(self.home),
            "OMP_NUM_THREADS": "1",
            **self.environment,
            **environment,
        }
        if self.preloaded is not None:
            process = self.preloaded.start(arguments, whole, self.folder)
        else:
            process = subprocess.Popen(
                [sys.executable, *arguments],
                env=whole,
                cwd=self.folder,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        self.started.append(process)
        return process

    def __call__(self, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
        """Run the command to its end."""
        return self._completed(self.start(*arguments, **environment))

    def _completed(self, process: "subprocess.Popen[str]") -> "subprocess.CompletedProcess[str]":
        try:
            out, err = process.communicate(timeout=LONGEST_SECONDS)
        finally:
            process.kill()
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def train(self, *arguments: str, **environment: str) -> dict[str, Any]:
        """Train the tiny experiment; returns its JSON."""
        done = self("train", str(tiny_file(self.folder)), "--json", *arguments, **environment)
        assert done.returncode == 0, done.stderr
        result: dict[str, Any] = json.loads(done.stdout)
        return result


def tiny_file(folder: Path, **changes: Any) -> Path:
    """The tiny experiment as a file, with some sections replaced."""
    path = folder / "tiny.yaml"
    path.write_text(yaml.safe_dump({**TINY, **changes}))
    return path


def wait_until(
    condition: Callable[[], bool],
    seconds: float = LONGEST_SECONDS,
    process: "subprocess.Popen[str] | None" = None,
) -> None:
    """Return when the condition holds; fail the test when it never does.

    Args:
        condition: what is waited for.
        seconds: the longest wait.
        process: who makes it happen; once this process has ended, nobody does.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never happened"
        assert process is None or process.poll() is None, process.communicate()
        time.sleep(0.05)


def client_of(home: Path) -> "MlflowClient":
    """A client of a home's embedded tracking store."""
    from tasks.home import Home
    from tasks.tracking.store import tracker_of

    return tracker_of(Home(home)).client()


def experiment_of(home: Path, run_id: str) -> Experiment:
    """The experiment that a run has recorded."""
    uri = client_of(home).get_run(run_id).info.artifact_uri
    path = Path(urlparse(uri).path) / "experiment.yaml"
    return from_mapping(yaml.safe_load(path.read_text()))


def run_ids(home: Path) -> dict[str, str]:
    """Status of every run in the home's tracking store, by run id; none before the first run."""
    from tasks.home import Home

    if not (home / "mlflow" / "mlflow.db").exists():
        return {}
    # A first command may still be making the tables.
    with Home(home).locked("mlflow"):
        client = client_of(home)
        experiments = [e.experiment_id for e in client.search_experiments()]
        return {r.info.run_id: r.info.status for r in client.search_runs(experiments)}


@pytest.fixture(scope="session")
def shared_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A home whose Prefect server stays up for the whole session."""
    from flows.services import prefect_server
    from tasks.home import Home

    path = tmp_path_factory.mktemp("home")
    home = Home(path)
    url = prefect_server.SERVER.request(home)
    prefect_server.SERVER.wait(home, url)
    yield path
    prefect_server.SERVER.leave()


@pytest.fixture(scope="session")
def preloaded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Preloaded]:
    """Starts commands that have the libraries imported already."""
    with closing(Preloaded(tmp_path_factory.mktemp("p"))) as process:
        yield process


@pytest.fixture
def rlhf(shared_home: Path, tmp_path: Path, preloaded: Preloaded) -> Iterator[Command]:
    """The command on the shared home, in a working folder of the test's own."""
    command = Command(shared_home, tmp_path, preloaded=preloaded)
    try:
        yield command
    finally:
        command.close()
