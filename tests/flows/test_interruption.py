"""Kill it, break it, stop it: nothing is lost and nothing stays open."""

import json
import re
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tasks.tracking.tags import REASON_TAG
from tests.flows.barrier import Barrier
from tests.flows.conftest import LONGEST_SECONDS, Command, client_of, run_ids, tiny_file, wait_until

# No speed is expected of the machine: the limits end a wait for what never happens.
pytestmark = pytest.mark.timeout(5 * LONGEST_SECONDS)

COMPARED = ("labels", "env_steps", "true_return_mean", "true_return_iqm")


def leases(home: Path) -> set[str]:
    """Runs that somebody works on, or did when it was killed."""
    texts = [path.read_text() for path in (home / "leases").glob("*.json")]
    owners = [json.loads(text) for text in texts if text.endswith("}")]
    return {owner["run_id"] for owner in owners} - {None}


def memos(home: Path, run_id: str) -> int:
    return len(list((home / "store" / "memo" / run_id).glob("[0-9]*.json")))


@pytest.fixture(scope="session")
def undisturbed(
    shared_home: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[..., dict[str, Any]]]:
    """Gives the summary of a run that nobody killed, which is made once."""
    command = Command(shared_home, tmp_path_factory.mktemp("undisturbed"))
    try:
        yield cache(command.train)
    finally:
        command.close()


DEMONSTRATED = ("--set", "feedback.kind=inverse_rl", "--set", "annotator.expert_steps=320")
EVOLVED = ("--set", "optimiser.kind=openai_es", "--set", "budget.env_steps=9000")


@pytest.mark.parametrize(
    ("after", "changes"),
    [(1, ()), (9, ()), (8, DEMONSTRATED), (10, EVOLVED)],
    ids=["1", "9", "demonstrated", "evolved"],
)
def test_a_killed_run_resumes_to_the_numbers_of_an_undisturbed_one(
    rlhf: Command,
    undisturbed: Callable[..., dict[str, Any]],
    after: int,
    changes: tuple[str, ...],
) -> None:
    expected = undisturbed(*changes)
    before = set(run_ids(rlhf.home))
    barrier = Barrier(rlhf)
    # The next stage has done its work and has not yet written down that it did.
    process = barrier.start("train", str(tiny_file(rlhf.folder)), *changes, memo=after + 1)
    barrier.wait(process)
    (run_id,) = leases(rlhf.home) - before
    process.kill()
    process.communicate()
    assert memos(rlhf.home, run_id) == after

    done = rlhf("resume", run_id, "--json")
    assert done.returncode == 0, done.stderr
    resumed = json.loads(done.stdout)
    assert {k: resumed[k] for k in COMPARED} == {k: expected[k] for k in COMPARED}
    assert resumed["run_id"] == run_id
    assert run_ids(rlhf.home)[run_id] == "FINISHED"
    assert set(run_ids(rlhf.home)) == before | {run_id}
    assert memos(rlhf.home, run_id) == 17

    client = client_of(rlhf.home)
    for metric in ("eval/true_return_iqm", "feedback/labels_total", "time/fit"):
        assert len(client.get_metric_history(run_id, metric)) == 3, metric
    assert len(client.search_model_versions(f"run_id = '{run_id}'")) == 1

    if changes == DEMONSTRATED:
        files = {artifact.path for artifact in client.list_artifacts(run_id, "labels")}
        names = ("demonstrations.csv", "demonstrations.safetensors", "evidence.safetensors")
        assert files == {f"labels/{name}" for name in (*names, "judgements.csv")}
        (model,) = client.list_artifacts(run_id, "reward_model")[:1]
        assert model.path == "reward_model/discriminator.safetensors"


def test_results_that_are_lost_between_a_kill_and_the_resume_are_made_again(
    rlhf: Command, tmp_path: Path, undisturbed: Callable[..., dict[str, Any]]
) -> None:
    expected = undisturbed()
    # On a store of its own, since other runs with these numbers share their objects.
    store = tmp_path / "store"
    before = set(run_ids(rlhf.home))
    barrier = Barrier(rlhf)
    file = str(tiny_file(rlhf.folder))
    process = barrier.start("train", file, memo=9, RLHF_STORE=str(store))
    barrier.wait(process)
    (run_id,) = leases(rlhf.home) - before
    process.kill()
    process.communicate()
    objects = sorted(path for path in (store / "objects").rglob("*") if path.is_file())
    assert len(objects) > 8
    for path in objects[::2]:
        path.unlink()
    for path in objects[1::2]:
        content = path.read_bytes()
        path.chmod(0o644)
        path.write_bytes(content[: len(content) // 2])
    # A number is edited in one of the notes that tell which stages are done.
    note = sorted((store / "memo" / run_id).glob("*-fit-*.json"))[0]
    edited = re.sub(r'("time/fit": )\d', r"\g<1>7", note.read_text())
    assert edited != note.read_text()
    note.write_text(edited)

    done = rlhf("resume", run_id, "--json", RLHF_STORE=str(store))
    assert done.returncode == 0, done.stderr
    resumed = json.loads(done.stdout)
    assert {k: resumed[k] for k in COMPARED} == {k: expected[k] for k in COMPARED}
    assert run_ids(rlhf.home)[run_id] == "FINISHED"
    assert f"{note.name} is damaged; it is made again" in done.stderr
    assert "lost or damaged; it is made again" in done.stderr


RESUME = """
import sys
from typer.testing import CliRunner
from flows.command.app import app

done = CliRunner().invoke(app, ["resume", sys.argv[1], *sys.argv[2:]])
assert done.exit_code == 0, done.output
assert not {"torch", "prefect", "mlflow"} & set(sys.modules)
print(done.stdout, end="")
"""


def test_a_finished_run_prints_its_summary_again_and_loads_nothing_for_it(
    rlhf: Command, undisturbed: Callable[..., dict[str, Any]]
) -> None:
    expected = undisturbed()
    run_id = expected["run_id"]
    again = rlhf("resume", run_id, "--json")
    assert (again.returncode, json.loads(again.stdout)) == (0, expected)
    fresh = replace(rlhf, preloaded=None)
    assert fresh.python("-c", RESUME, run_id, "--json").stdout == again.stdout
    table = rlhf("resume", run_id)
    assert table.returncode == 0
    assert re.search(r"feedback strategy +│ preference", table.stdout)
    assert f"run {run_id}, kept in {rlhf.home}" in table.stdout
    client = client_of(rlhf.home)
    (stored,) = [a.path for a in client.list_artifacts(run_id) if a.path == "summary.json"]
    text = Path(client.download_artifacts(run_id, stored)).read_text()
    assert json.loads(text)["summary"] == expected


# 17 stages, the summary before the run is marked as finished, and the note that it was marked.
@pytest.mark.parametrize(("memo", "status"), [(18, "RUNNING"), (19, "FINISHED")])
def test_a_kill_between_the_end_of_a_run_and_its_printing_loses_nothing(
    rlhf: Command, undisturbed: Callable[..., dict[str, Any]], memo: int, status: str
) -> None:
    expected = undisturbed()
    before = set(run_ids(rlhf.home))
    barrier = Barrier(rlhf)
    process = barrier.start("train", str(tiny_file(rlhf.folder)), "--json", memo=memo)
    barrier.wait(process)
    (run_id,) = leases(rlhf.home) - before
    process.kill()
    out, _ = process.communicate()
    assert out == ""
    assert run_ids(rlhf.home)[run_id] == status

    done = rlhf("resume", run_id, "--json")
    assert done.returncode == 0, done.stderr
    resumed = json.loads(done.stdout)
    assert {k: resumed[k] for k in COMPARED} == {k: expected[k] for k in COMPARED}
    assert run_ids(rlhf.home)[run_id] == "FINISHED"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_closes_the_run_and_says_how_to_go_on(
    rlhf: Command, number: signal.Signals
) -> None:
    before = set(run_ids(rlhf.home))
    barrier = Barrier(rlhf)
    process = barrier.start("train", str(tiny_file(rlhf.folder)), "--json", memo=3)
    barrier.wait(process)
    (run_id,) = leases(rlhf.home) - before
    process.send_signal(number)
    out, err = process.communicate(timeout=LONGEST_SECONDS)
    assert process.returncode == 128 + number
    assert out == ""
    assert err.splitlines()[-1] == f"interrupted; to go on: rlhf resume {run_id}"
    assert "Traceback" not in err
    run = client_of(rlhf.home).get_run(run_id)
    assert run.info.status == "KILLED"
    assert run.data.tags[REASON_TAG]


def test_a_run_that_is_killed_inside_an_optimisation_goes_on_inside_it(rlhf: Command) -> None:
    changes = (
        *("--set", "optimiser.kind=pgpe", "--set", "optimiser.population=8"),
        *("--set", "budget.rounds=1", "--set", "budget.env_steps=2000"),
    )
    undisturbed = rlhf.train(*changes)
    before = set(run_ids(rlhf.home))
    barrier = Barrier(rlhf)
    # Every generation ends with a checkpoint; the third one is never written.
    file = str(tiny_file(rlhf.folder))
    process = barrier.start("train", file, *changes, unfinished=3, RLHF_CHECKPOINT_SECONDS="0")
    barrier.wait(process)
    (run_id,) = leases(rlhf.home) - before
    process.kill()
    process.communicate()
    unfinished = rlhf.home / "store" / "unfinished"
    assert any(unfinished.rglob("*.checkpoint"))

    process = barrier.start("resume", run_id, "--json", RLHF_CHECKPOINT_SECONDS="0")
    out, err = process.communicate(timeout=LONGEST_SECONDS)
    assert process.returncode == 0, err
    resumed = json.loads(out)
    assert {k: resumed[k] for k in COMPARED} == {k: undisturbed[k] for k in COMPARED}
    assert not any(unfinished.rglob("*.checkpoint"))

    client = client_of(rlhf.home)
    (generations,) = client.get_metric_history(run_id, "policy/generations")
    assert generations.value == 5
    assert barrier.moved("unfinished") == 3, "two generations were not played again"


def test_a_run_that_goes_on_cannot_be_resumed_and_ctrl_c_closes_it_with_the_reason(
    rlhf: Command,
) -> None:
    before = set(run_ids(rlhf.home))
    barrier = Barrier(rlhf)
    process = barrier.start("train", str(tiny_file(rlhf.folder)), memo=3)
    barrier.wait(process)
    (run_id,) = leases(rlhf.home) - before
    busy = rlhf("resume", run_id)
    assert busy.returncode == 2
    assert f"run {run_id} is still going on in process {process.pid}" in busy.stderr

    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=LONGEST_SECONDS)
    assert process.returncode == 130
    assert "Traceback" not in err
    assert f"rlhf resume {run_id}" in err
    run = client_of(rlhf.home).get_run(run_id)
    assert run.info.status == "KILLED"
    assert run.data.tags[REASON_TAG]


def test_a_killed_run_is_closed_by_the_next_one(rlhf: Command) -> None:
    before = set(run_ids(rlhf.home))
    barrier = Barrier(rlhf)
    process = barrier.start("train", str(tiny_file(rlhf.folder)), memo=1)
    barrier.wait(process)
    (run_id,) = leases(rlhf.home) - before
    process.kill()
    process.communicate()
    assert run_ids(rlhf.home)[run_id] == "RUNNING"
    rlhf.train()
    run = client_of(rlhf.home).get_run(run_id)
    assert run.info.status == "KILLED"
    assert f"rlhf resume {run_id}" in run.data.tags[REASON_TAG]


def test_a_run_that_breaks_is_closed_as_failed_with_the_reason(rlhf: Command) -> None:
    before = set(run_ids(rlhf.home))
    (rlhf.folder / "breaking.py").write_text(
        "import gymnasium\n"
        "from gymnasium.envs.classic_control import PendulumEnv\n"
        "class Breaking(PendulumEnv):\n"
        "    taken = 0\n"
        "    def step(self, action):\n"
        "        self.taken += 1\n"
        "        if self.taken > 60: raise OSError('the robot fell over')\n"
        "        return super().step(action)\n"
        "gymnasium.register('Breaking-v0', Breaking, max_episode_steps=200)\n"
    )
    environment = {"id": "breaking:Breaking-v0", "count": 4}
    path = tiny_file(rlhf.folder, environment=environment)
    done = rlhf("train", str(path))
    assert done.returncode == 1
    assert "the robot fell over" in done.stderr
    ((run_id, status),) = [(r, s) for r, s in run_ids(rlhf.home).items() if r not in before]
    assert status == "FAILED"
    run = client_of(rlhf.home).get_run(run_id)
    assert "the robot fell over" in run.data.tags[REASON_TAG]


def test_two_trainings_started_at_once_on_a_fresh_home_both_finish(tmp_path: Path) -> None:
    rlhf = Command(tmp_path / "home", tmp_path)
    path = str(tiny_file(tmp_path))
    try:
        processes = [rlhf.start("train", path, "--json", "--set", f"seed={s}") for s in (1, 2)]
        outputs = [process.communicate(timeout=LONGEST_SECONDS) for process in processes]
    finally:
        rlhf.close()
    assert [process.returncode for process in processes] == [0, 0], outputs
    assert not [err for _, err in outputs if "locked" in err]
    assert sorted(run_ids(tmp_path / "home").values()) == ["FINISHED", "FINISHED"]
    # With no user left, the embedded server takes its leave.
    wait_until(lambda: not (tmp_path / "home" / "prefect" / "server.json").exists())
