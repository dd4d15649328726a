"""`rlhf serve` plays schedules by itself, is killed in a run, and goes on with it."""

import signal
import subprocess
from typing import Any

import pytest

from flows.schedules import status
from tasks.home import Home
from tests.flows.conftest import (
    LONGEST_SECONDS,
    Command,
    client_of,
    run_ids,
    tiny_file,
    wait_until,
)

# No speed is expected of the machine: the limits end a wait for what never happens.
pytestmark = pytest.mark.timeout(3 * LONGEST_SECONDS)


def call(rlhf: Command, *arguments: str) -> str:
    done = rlhf(*arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def of_schedule(rlhf: Command, name: str) -> list[Any]:
    """The runs of a schedule in MLflow, the oldest first."""
    client = client_of(rlhf.home)
    experiments = [one.experiment_id for one in client.search_experiments()]
    rule = f"tags.`rlhf.schedule` = '{name}'"
    return list(client.search_runs(experiments, rule, order_by=["attributes.start_time ASC"]))


def lines(process: "subprocess.Popen[str]") -> str:
    return process.communicate(timeout=LONGEST_SECONDS)[0]


def test_schedules_are_played_killed_and_gone_on_with(rlhf: Command) -> None:
    home = Home(rlhf.home)
    path = str(tiny_file(rlhf.folder))
    run_ids(rlhf.home)  # The store is there before anything looks into it.
    call(rlhf, "schedule", "add", path, "--name", "often", "--every", "10s")
    call(rlhf, "schedule", "add", path, "--name", "rare", "--every", "366d",
         "--set", "budget.env_steps=20000", "--set", "budget.rounds=20",
         "--set", "budget.labels=60")  # fmt: skip
    serving = rlhf.start("serve")
    wait_until(lambda: status.read(home, "often").runs >= 2)
    call(rlhf, "schedule", "remove", "often")
    first, second, *_ = of_schedule(rlhf, "often")
    assert {first.info.status, second.info.status} == {"FINISHED"}
    assert first.data.tags["rlhf.seed_policy"] == "fresh"
    assert first.data.tags["seed"] != second.data.tags["seed"]
    assert first.data.metrics["eval/true_return_iqm"] != second.data.metrics["eval/true_return_iqm"]

    call(rlhf, "schedule", "run-now", "rare")
    wait_until(
        lambda: any("eval/true_return_iqm" in run.data.metrics for run in of_schedule(rlhf, "rare"))
    )
    serving.kill()
    lines(serving)
    serving = rlhf.start("serve")
    wait_until(lambda: status.read(home, "rare").runs == 1)
    past = status.read(home, "rare")
    (run,) = of_schedule(rlhf, "rare")
    assert (past.state, past.run_id, past.seed) == (
        "Completed", run.info.run_id, int(run.data.tags["seed"])
    )  # fmt: skip
    assert run.info.status == "FINISHED"

    refused = rlhf("serve")
    assert refused.returncode == 2
    assert "served by another process already" in refused.stderr
    serving.send_signal(signal.SIGTERM)
    told = lines(serving)
    assert serving.returncode == 0
    assert "rare: the interrupted run goes on" in told
    assert told.endswith("stopped; the schedules stay\n")
    assert "rare" in call(rlhf, "schedule", "list")
    call(rlhf, "schedule", "remove", "rare")


def test_a_deployments_process_makes_everything_ready_itself(rlhf: Command) -> None:
    path = rlhf.folder / "own.py"
    path.write_text(
        "import json\n"
        "from flows.train import train\n"
        f"print(json.dumps(train({str(tiny_file(rlhf.folder))!r}, {{'budget.rounds': 1}})))\n"
    )
    from flows.services import prefect_server

    home = Home(rlhf.home)
    url = prefect_server.SERVER.request(home)
    settings = {**prefect_server.environment(home), "PREFECT_LOGGING_LEVEL": "ERROR"}
    process = rlhf.script(str(path), PREFECT_API_URL=url, RLHF_EMBEDDED_PREFECT=url, **settings)
    out, err = process.communicate(timeout=LONGEST_SECONDS)
    assert process.returncode == 0, err
    assert '"labels": 9' in out
    assert "Warning" not in err
