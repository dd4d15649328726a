"""A run begins with what an earlier one had at the end of a round, and says so."""

from typing import Any

import numpy as np
import pytest

from rlhf_core.configuration import from_mapping
from rlhf_core.errors import ConfigurationError, RlhfError, RunError
from rlhf_core.experiment import Experiment
from tasks.beginning import beginning_of, parts_of
from tasks.home import Home
from tasks.runs import snapshots
from tasks.runs.content import content_of, digest_of
from tasks.runs.snapshots import Snapshot
from tasks.tracking.tags import CONTENT_TAG, FROM_TAG, TAKE_TAG
from tests.flows.conftest import TINY, Command, client_of, tiny_file, wait_until

FEEDBACK = TINY["feedback"]


def tiny(**changes: Any) -> Experiment:
    return from_mapping({**TINY, **changes})


@pytest.fixture(scope="module")
def source(shared_home: Any, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A finished run."""
    run_id: str = Command(shared_home, tmp_path_factory.mktemp("source")).train()["run_id"]
    return run_id


@pytest.fixture
def snapshot(shared_home: Any, source: str) -> Snapshot:
    return snapshots.read(Home(shared_home), source)


def test_the_last_round_is_read_unless_one_is_named(shared_home: Any, source: str) -> None:
    home = Home(shared_home)
    last, second = snapshots.read(home, source), snapshots.read(home, f"{source[:12]}@2")
    assert (last.address, second.address) == (f"{source}@3", f"{source}@2")
    assert (last.policy.steps, second.policy.steps) == (928, 672)
    assert (last.feedback.asked, second.feedback.asked) == (9, 7)


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("{}@4", "expected a round from 1 to 3"),
        ("{}@0", "expected RUN_ID or RUN_ID@ROUND"),
        ("0123456789", "not known"),
    ],
)
def test_an_unknown_round_is_refused(
    shared_home: Any, source: str, address: str, message: str
) -> None:
    with pytest.raises(RunError, match=message):
        snapshots.read(Home(shared_home), address.format(source))


def test_each_part_is_taken_by_itself(snapshot: Snapshot) -> None:
    policy = beginning_of(tiny(), snapshot, ["policy"])
    assert policy.feedback is None
    assert policy.policy is not None
    assert policy.policy.steps == 0
    for name, weight in snapshot.policy.parameters.items():
        np.testing.assert_array_equal(policy.policy.parameters[name], weight)

    labels = beginning_of(tiny(), snapshot, ["labels"])
    assert labels.policy is None
    assert labels.feedback is not None
    assert labels.feedback.ensemble is None
    assert labels.evidence is snapshot.feedback.evidence

    reward = beginning_of(tiny(), snapshot, ["reward"]).feedback
    assert reward is not None
    assert reward.evidence is None
    assert reward.ensemble is snapshot.feedback.ensemble


@pytest.mark.parametrize(
    ("changes", "parts", "message"),
    [
        ({"environment": {"id": "CartPole-v1", "count": 4}}, "policy", "expected observations"),
        ({"optimiser": {**TINY["optimiser"], "hidden": [4]}}, "policy", "whose policy has"),
        ({"feedback": {**FEEDBACK, "segment_steps": 5}}, "labels", "expected 10, the"),
        ({"feedback": {**FEEDBACK, "kind": "direct_reward"}}, "labels", "form rating"),
        ({"feedback": {**FEEDBACK, "reward_model": {}}}, "reward", "without it, one is"),
        ({"feedback": {"kind": "true_reward"}}, "labels", "expected 'policy' alone"),
    ],
)
def test_a_part_that_does_not_fit_is_refused(
    snapshot: Snapshot, changes: dict[str, Any], parts: str, message: str
) -> None:
    with pytest.raises(ConfigurationError, match=message):
        beginning_of(tiny(**changes), snapshot, parts_of(parts))


def test_an_unknown_part_is_refused() -> None:
    with pytest.raises(RlhfError, match="expected some of policy, reward, labels, actual: 'polcy'"):
        parts_of("polcy")


def test_what_to_take_needs_a_run_to_take_it_from(tmp_path: Any) -> None:
    done = Command(tmp_path / "home", tmp_path)("train", "pendulum-preference", "--take", "policy")
    assert done.returncode != 0
    assert done.stderr == "error: --take: expected --from RUN_ID beside it, actual: none\n"


def test_a_run_that_takes_over_is_killed_and_goes_on(
    shared_home: Any, source: str, tmp_path: Any
) -> None:
    """It has the numbers of an undisturbed one, and names what it began with."""
    rlhf = Command(shared_home, tmp_path)
    arguments = ("--from", f"{source}@2", "--take", "policy,labels", "--seed", "6")
    undisturbed = rlhf.train(*arguments)
    tags = client_of(shared_home).get_run(undisturbed["run_id"]).data.tags
    assert (tags[FROM_TAG], tags[TAKE_TAG]) == (f"{source}@2", "policy,labels")
    assert CONTENT_TAG not in tags, "a comparison would take it for a run that began with nothing"
    assert undisturbed["labels"] == 9, "labels that are taken over are not charged"

    store = Home(shared_home).store

    def fitted() -> set[str]:
        return {key.partition("/")[0] for key in store.memos() if "-fit-" in key}

    known = fitted()
    process = rlhf.start("train", str(tiny_file(tmp_path)), *arguments)
    wait_until(lambda: fitted() > known, process=process)
    (run_id,) = fitted() - known
    process.kill()
    process.communicate()
    done = rlhf("resume", run_id, "--json")
    assert done.returncode == 0, done.stderr
    resumed = client_of(shared_home).get_run(run_id)
    first = client_of(shared_home).get_run(undisturbed["run_id"])
    for name in ("final/true_return_mean", "reward/heldout_loss", "eval/first_return_iqm"):
        assert resumed.data.metrics[name] == first.data.metrics[name]


def test_a_run_with_another_bank_is_another_run(tmp_path: Any) -> None:
    bank = tmp_path / "bank"
    reward = from_mapping({**TINY, "feedback": {**FEEDBACK, "reward_model": {
        "family": "bank", "bank": str(bank)
    }}})  # fmt: skip
    contents = [content_of(reward)]
    bank.mkdir()
    for name, content in (("one", b"1"), ("two", b"2"), ("two", b"three")):
        (bank / name).write_bytes(content)
        contents.append(content_of(reward))
    (bank / "one").rename(bank / "three")
    contents.append(content_of(reward))
    assert len({*contents}) == len(contents)
    (bank / "three").rename(bank / "one")
    assert content_of(reward) == contents[3]
    # A reward that is not made of the bank does not read it.
    model = reward.feedback.reward_model.model_copy(update={"family": "auto"})
    assert not [*model.folders()]


def test_rewards_of_runs_make_a_bank_that_a_later_run_learns_from(
    shared_home: Any, source: str, tmp_path: Any
) -> None:
    rlhf = Command(shared_home, tmp_path)
    done = rlhf("rewards", "bank", source, f"{source[:12]}@2")
    assert done.returncode == 0, done.stderr
    files = [f"bank/{source}-3.safetensors", f"bank/{source}-2.safetensors"]
    assert done.stdout.split() == files
    learned = rlhf.train(
        "--set", "feedback.reward_model={family: bank, bank: bank}", "--seed", "7"
    )  # fmt: skip
    run = client_of(shared_home).get_run(learned["run_id"])
    assert 1 <= run.data.metrics["reward/bank_parts"] <= 2
    bank = run.inputs.dataset_inputs[0]
    tags = {tag.key: tag.value for tag in bank.tags}
    assert (bank.dataset.name, tags["mlflow.data.context"]) == (
        "bank", "feedback.reward_model.bank"
    )  # fmt: skip
    assert tags["sha256"] == digest_of(tmp_path / "bank")

    true = rlhf.train("--set", "feedback.kind=true_reward", "--set", "budget.labels=0")["run_id"]
    (tmp_path / "file").write_text("")
    for arguments, message in (
        (("bank", "0123456789"), "not known"),
        (("bank", true), f"run {true}@3: expected a reward that was learned from answers, actual"),
        (("file", source), "file: expected a folder, actual: a file"),
    ):
        refused = rlhf("rewards", *arguments)
        assert refused.returncode == 2
        assert len(refused.stderr.splitlines()) == 1
        assert message in refused.stderr
    wrong = rlhf(
        "train", str(tiny_file(tmp_path)),
        "--set", "feedback.reward_model={family: bank, bank: nowhere}",
    )  # fmt: skip
    assert "feedback.reward_model.bank: expected a folder of rewards, actual: 'nowhere'" in (
        wrong.stderr
    )
    assert wrong.returncode != 0
    other = rlhf.train("--set", "environment={id: CartPole-v1, count: 4, time_limit: 40}")
    mixed = rlhf("rewards", "bank", other["run_id"])
    assert "expected observations and actions as of bank/" in mixed.stderr
