"""What differs between two configurations."""

from typing import Any

import pytest
import yaml

from rlhf_core.differences import differences, words
from rlhf_core.experiment import Experiment

BASE: dict[str, Any] = {
    "name": "base",
    "environment": "Pendulum-v1",
    "optimiser": {"kind": "ppo", "hidden": [32, 32], "learning_rate": 2e-3},
    "budget": {"labels": 200, "rounds": 2, "env_steps": 500_000},
}


def changed(text: str) -> Experiment:
    data = yaml.safe_load(yaml.safe_dump(BASE))
    for path, value in yaml.safe_load(text).items():
        *parents, last = path.split(".")
        place = data
        for name in parents:
            place = place.setdefault(name, {})
        place[last] = value
    return Experiment.model_validate(data)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ("{}", []),
        ("{budget.labels: 50}", ["labels50"]),
        ("{budget.money: 2.5}", ["money2.5"]),
        ("{guard.reaction: stop}", ["reaction_stop"]),
        ("{feedback.queries: uniform}", ["uniform"]),
        ("{feedback.reward_model: {robust: true}}", ["robust_on"]),
        ("{feedback.reward_model: {hidden: [8]}}", ["reward_model_hidden8"]),
        ("{optimiser.hidden: [64, 64]}", ["optimiser_hidden64x64"]),
        # What was written for one kind holds for another that has the field; defaults do not.
        ("{optimiser.kind: a2c}", ["a2c"]),
        ("{optimiser.kind: a2c, optimiser.hidden: [64, 64]}", ["a2c", "optimiser_hidden64x64"]),
        ("{optimiser.kind: a2c, optimiser.learning_rate: 7.0e-4}",
         ["a2c", "optimiser_learning_rate0.0007"]),
        # Two fields of one name and one parent's name.
        ("{evaluation.environment: {id: Pendulum-v1, options: {g: 8.0}}}",
         ["evaluation_environment_id_Pendulum-v1", "evaluation_environment_optionsg8.0"]),
    ],
)  # fmt: skip
def test_differences_are_told_in_words(changes: str, expected: list[str]) -> None:
    experiment = changed(changes)
    assert words(differences(experiment, changed("{}")), experiment) == expected


def test_what_is_not_named_is_told_apart_all_the_same() -> None:
    many = "{{budget.labels: 50, budget.rounds: 3, guard.reserve: 0.1, threads: {threads}}}"
    names = []
    for threads in (2, 3):
        experiment = changed(many.format(threads=threads))
        names.append(words(differences(experiment, changed("{}")), experiment))
    assert [name[:2] for name in names] == [["labels50", "rounds3"]] * 2
    assert names[0][2] != names[1][2]
    assert len(names[0]) == 3


def test_a_long_or_strange_value_becomes_a_digest_of_its_own() -> None:
    found = []
    for index in (1, 2):
        experiment = changed(f"{{environment: 'my.module:Env{index}-v0'}}")
        found.append(words(differences(experiment, changed("{}")), experiment)[0])
    assert found[0] != found[1]
    assert {len(word) for word in found} == {len("id__000000")}
