"""`rlhf retrain` as a user runs it: promoted, refused, drifted, rolled back."""

import json
from pathlib import Path
from typing import Any

import pytest

from flows.retrain import alone
from rlhf_core.errors import ConfigurationError, RunError
from tasks.home import Home
from tasks.retraining.plan import Retraining
from tasks.runs.lifecycle import resumable
from tasks.tracking import records
from tasks.tracking.store import prepare
from tests.core.examples import tiny
from tests.flows.conftest import (
    LONGEST_SECONDS,
    Command,
    client_of,
    tiny_file,
    wait_until,
)

pytestmark = pytest.mark.timeout(3 * LONGEST_SECONDS)
MODEL = "swinging"
GATE = ("--model", MODEL, "--episodes", "60")


def printed(rlhf: Command, *arguments: str) -> Any:
    done = rlhf(*arguments, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_champion_is_dethroned_by_evidence_alone(rlhf: Command) -> None:
    def retrain(*arguments: str) -> dict[str, Any]:
        result: dict[str, Any] = printed(
            rlhf, "retrain", str(tiny_file(rlhf.folder)), *GATE, *arguments
        )
        return result

    first = retrain("--label-set", "people", "--seed", "5")
    assert (first["outcome"], first["version"], first["champion"]) == ("promoted", 1, 1)
    assert (first["label_set"], first["look"]) == ("people/1", 0)

    # The same configuration and seed give the same policy: no better than the champion.
    again = retrain("--seed", "5")
    assert (again["outcome"], again["version"], again["champion"]) == ("refused", 2, 1)
    assert again["metrics"]["gate/difference"] == 0
    assert again["metrics"]["gate/probability"] == 0.5
    assert (again["look"], again["label_set"]) == (1, None)

    warm = retrain("--warm", "--label-set", "people", "--set", "environment.options.g=60")
    assert (warm["outcome"], warm["champion"], warm["look"]) == ("drifted", 1, 2)
    assert any("environment has changed" in reason for reason in warm["reasons"])
    assert warm["label_set"] == "people/2"
    assert warm["training"]["labels"] == 9
    assert len({result["gate_seed"] for result in (first, again, warm)}) == 3

    client = client_of(rlhf.home)
    version = client.get_model_version(MODEL, "3")
    assert version.tags["rlhf.decision"] == "drifted"
    assert version.tags["rlhf.label_set"] == "people/1"
    assert "environment has changed" in version.tags["rlhf.reasons"]
    assert "drifted against version 1" in version.description
    run = client.get_run(warm["run_id"])
    assert run.data.metrics["gate/look"] == 2
    datasets = {entry.dataset.name for entry in run.inputs.dataset_inputs}
    assert datasets == {"labels", "labels people"}
    files = {entry.path for entry in client.list_artifacts(warm["run_id"], "retraining")}
    assert {f"retraining/{n}" for n in ("decision.json", "report.md", "gate.png")} == files

    shown = printed(rlhf, "labels", "show", "people")
    assert [batch["counts"] for batch in shown["batches"]] == [{"comparison": 9}] * 2
    assert [batch["origin"] for batch in shown["batches"]] == [
        f"run {result['run_id']}" for result in (first, warm)
    ]

    named = ("--model", MODEL)
    assert printed(rlhf, "promote", "2", *named)["champion_before"] == 1
    assert printed(rlhf, "rollback", *named, "--reason", "worse")["champion"] == 1
    told = printed(rlhf, "history", *named)
    assert told["aliases"] == {"champion": 1, "previous": 2, "challenger": 3}
    moves = [(move["what"], move["version"]) for move in told["history"]]
    assert moves == [
        ("promoted", 1), ("refused", 2), ("drifted", 3), ("promoted by hand", 2), ("rolled back", 1)
    ]  # fmt: skip
    assert "version 1 rolled back (champion was 2): worse" in rlhf("history", *named).stdout
    done = rlhf("promote", "9", *named)
    assert done.returncode == 2
    assert done.stderr == "error: model swinging: expected a version among [1, 2, 3], actual: 9\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--p", "1"), "error: gate: probability: "),
        (("--episodes", "5"), "error: gate: episodes: "),
        (("--label-set", "../x"), "error: label set: expected a name of letters"),
        (("--set", "feedback.kind=constant"), "error: feedback.kind: expected a strategy whose"),
    ],
)
def test_bad_input_is_one_line_and_starts_nothing(
    arguments: tuple[str, ...], message: str, rlhf: Command
) -> None:
    done = rlhf("retrain", str(tiny_file(rlhf.folder)), *arguments)
    assert done.returncode == 2
    lines = [line for line in done.stderr.splitlines() if not line.startswith("note:")]
    assert len(lines) == 1
    assert lines[0].startswith(message)


def test_labels_travel_from_home_to_home(rlhf: Command, tmp_path: Path) -> None:
    done = rlhf("labels", "import", "people", "missing.jsonl")
    assert done.returncode == 2
    assert "missing.jsonl: cannot be read" in done.stderr
    (tmp_path / "bad.jsonl").write_text('{"rlhf_labels": 1}\n')
    done = rlhf("labels", "import", "travellers", "bad.jsonl")
    assert done.returncode == 2
    assert done.stderr.startswith("error: bad.jsonl line 1: ")
    assert "travellers" not in rlhf("labels", "list").stdout


def test_two_retrainings_do_not_judge_at_once(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    with (
        alone(home, "swinging"),
        pytest.raises(RunError, match=r"another retraining of .* is going on"),
        alone(home, "swinging"),
    ):
        raise AssertionError("it was let in")


def test_a_null_control_is_no_challenger() -> None:
    with pytest.raises(ConfigurationError, match="actual: null control 'constant'"):
        Retraining().check(tiny(feedback={"kind": "constant"}))


def test_a_label_set_needs_a_strategy_that_asks() -> None:
    with pytest.raises(ConfigurationError, match="label set: expected a feedback strategy that"):
        Retraining(label_set="people").check(tiny(feedback={"kind": "true_reward"}))


@pytest.mark.filterwarnings("ignore:.*input example was not provided:UserWarning")
def test_the_run_of_a_retraining_is_not_resumed_by_itself(tmp_path: Path) -> None:
    from tasks.tracking.tags import PROJECT, PROJECT_TAG, RETRAIN_TAG

    home = Home(tmp_path / "home")
    tracker = prepare(home)
    tags = {PROJECT_TAG: PROJECT, RETRAIN_TAG: "swinging"}
    run_id = records.create(tracker, "Corridor", "run", tags, {})
    records.set_status(tracker, run_id, "FAILED", True)
    with pytest.raises(RunError, match="go on: rlhf resume"):
        resumable(home, run_id)


def test_a_retraining_that_was_killed_goes_on(rlhf: Command) -> None:
    file = str(tiny_file(rlhf.folder))
    longer = ("--set", "budget.env_steps=40000", "--set", "budget.rounds=20",
              "--set", "budget.labels=60", "--seed", "7")  # fmt: skip
    process = rlhf.start("retrain", file, "--model", "killed", "--label-set", "lasting", *longer)
    stages = Home(rlhf.home).store

    def fitted() -> set[str]:
        return {key.partition("/")[0] for key in stages.memos() if "fit" in key}

    known = fitted()
    wait_until(lambda: fitted() > known, process=process)
    (run_id,) = fitted() - known
    process.kill()
    process.communicate()
    assert rlhf("history", "--model", "killed").returncode == 2, "it was not judged"

    done = printed(rlhf, "resume", run_id)
    assert (done["outcome"], done["version"], done["champion"]) == ("promoted", 1, 1)
    assert (done["run_id"], done["label_set"]) == (run_id, "lasting/1")
    whole = rlhf.train(*longer)
    for name in ("true_return_iqm", "heldout_accuracy", "labels"):
        assert done["training"][name] == whole[name]

    again = printed(rlhf, "resume", run_id)
    assert (again["outcome"], again["label_set"]) == ("promoted", "lasting/1")
    moves = printed(rlhf, "history", "--model", "killed")["history"]
    assert [(move["what"], move["version"]) for move in moves] == [("promoted", 1)]
