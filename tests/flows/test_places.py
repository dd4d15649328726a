"""A run in other places: stages on a runner, people who are not there yet, a store that is gone."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.flows.conftest import LONGEST_SECONDS, TINY, Command, client_of, run_ids

pytestmark = pytest.mark.timeout(3 * LONGEST_SECONDS)

SCRIPT = """
import json
import sys

from flows.services.connect import connect
from tasks.home import Home

if __name__ == "__main__":
    connect(Home())
    from flows.train import train
    from rlhf_core.configuration import from_mapping

    {before}
    print(json.dumps(train(from_mapping({experiment!r}), **{arguments!r})))
"""
SAME = ("labels", "env_steps", "true_return_mean", "true_return_iqm")


def play(rlhf: Command, before: str = "", **arguments: Any) -> dict[str, Any]:
    """What the flow returns when a script of the user's own calls it."""
    path = rlhf.folder / "own.py"
    path.write_text(SCRIPT.format(before=before, experiment=TINY, arguments=arguments))
    done = rlhf.python(str(path))
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def test_submitted_stages_give_the_numbers_of_called_ones_and_runs_have_group_and_parent(
    rlhf: Command,
) -> None:
    called = rlhf.train()
    submitted = play(rlhf, submit=True, group="pair", parent=called["run_id"])
    assert {name: submitted[name] for name in SAME} == {name: called[name] for name in SAME}
    tags = client_of(rlhf.home).get_run(submitted["run_id"]).data.tags
    assert tags["rlhf.group"] == "pair"
    assert tags["mlflow.parentRunId"] == called["run_id"]


LATE = """
    from rlhf_core.annotators.synthetic import Synthetic
    from rlhf_core.errors import AnswersPendingError

    answered = Synthetic.answer
    asked = []

    def answer(*arguments):
        asked.append(1)
        if len(asked) == 2:
            raise AnswersPendingError("1 of 3 answers are in")
        return answered(*arguments)

    Synthetic.answer = answer
"""


def test_a_run_waits_for_people_and_is_entered_again_where_it_was_left(rlhf: Command) -> None:
    expected = rlhf.train()
    waiting = play(rlhf, before=LATE.strip())
    run_id = waiting["run_id"]
    assert waiting == {"run_id": run_id, "waiting": "1 of 3 answers are in"}
    assert run_ids(rlhf.home)[run_id] == "SCHEDULED"
    run = client_of(rlhf.home).get_run(run_id)
    assert run.data.tags["rlhf.reason"] == "1 of 3 answers are in"
    assert run.data.metrics["feedback/labels_total"] == 4
    # Another run does not take it for one whose process died.
    rlhf.train("--set", "budget.rounds=1")
    assert run_ids(rlhf.home)[run_id] == "SCHEDULED"

    done = rlhf("resume", run_id, "--json")
    assert done.returncode == 0, done.stderr
    resumed = json.loads(done.stdout)
    assert {name: resumed[name] for name in SAME} == {name: expected[name] for name in SAME}
    assert "rlhf.reason" not in client_of(rlhf.home).get_run(run_id).data.tags


def test_a_worker_that_does_not_reach_the_store_says_so(tmp_path: Path) -> None:
    from rlhf_core.configuration import from_mapping
    from rlhf_core.errors import ServiceError, StoreError
    from tasks.runs.run import Run
    from tasks.tracking.store import Tracker

    nowhere = tmp_path / "elsewhere"
    tracker = Tracker(f"sqlite:///{nowhere / 'mlflow.db'}?timeout=60")
    run = Run("r1", from_mapping(TINY), str(nowhere / "store"), tracker)
    with pytest.raises(StoreError, match="elsewhere"):
        run.store  # noqa: B018 - the store is opened when it is asked for
    with pytest.raises(ServiceError, match="is not on this machine; set MLFLOW_TRACKING_URI"):
        tracker.client()
    assert not nowhere.exists()
