"""Parts of a generation on the engine that a flow was started with."""

import json
from typing import Any

from rlhf_core import in_process
from rlhf_core.configuration import from_mapping
from tests.flows.conftest import TINY, Command

SEARCH: dict[str, Any] = {
    **TINY,
    "environment": {"id": "Pendulum-v1", "count": 4, "time_limit": 40, "batching": "single"},
    "feedback": {"kind": "true_reward"},
    "optimiser": {"kind": "ars", "population": 4, "processes": 2},
    "budget": {"env_steps": 1000, "labels": 0, "rounds": 1, "initial_steps": 160},
}

SCRIPT = f"""
import json
from flows.services.connect import connect
from tasks.home import Home

if __name__ == "__main__":
    connect(Home())
    from prefect.task_runners import ProcessPoolTaskRunner
    from flows.train import train
    from rlhf_core.configuration import from_mapping
    from rlhf_core.evolution import distributed

    distributed.processes = None  # Its own processes are not used.
    parallel = train.with_options(task_runner=ProcessPoolTaskRunner(max_workers=2))
    print(json.dumps(parallel(from_mapping({SEARCH!r}))))
"""


def test_a_flow_with_a_runner_of_processes_finds_what_one_process_finds(rlhf: Command) -> None:
    path = rlhf.folder / "parallel.py"
    path.write_text(SCRIPT)
    done = rlhf.python(str(path))
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    alone = in_process.run(
        from_mapping({**SEARCH, "optimiser": {**SEARCH["optimiser"], "processes": 1}})
    )
    assert found["true_return_mean"] == alone.metrics["eval/true_return_mean"]
    assert found["env_steps"] == alone.policy.steps
