"""Success, measuring in another physics, and the numbers of the protocol."""

from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from flows.comparison import plan
from rlhf_core.configuration import from_mapping, validated
from rlhf_core.errors import ConfigurationError
from rlhf_core.experiment import Experiment
from rlhf_core.generalisation.measuring import measure
from rlhf_core.generalisation.protocol import measures
from rlhf_core.generalisation.study import Generalisation
from rlhf_core.generalisation.success import ObservationWatch, Success
from rlhf_core.generalisation.table import as_markdown
from tests.core.environments import STEPS
from tests.core.examples import HERE

RETURNS, LENGTHS, ABOVE = np.array([1.0, 5.0]), np.array([80, 195]), np.array([99, 100])


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ({"return_at_least": 5}, [False, True]),
        ({"steps_at_least": 195}, [False, True]),
        ({"steps_at_most": 80}, [True, False]),
        ({"observation_at_least": 0.5}, [False, True]),
        ({"observation_at_least": 0.5, "last_steps": 99}, [True, True]),
    ],
)
def test_an_episode_counts_by_one_condition(
    condition: dict[str, Any], expected: list[bool]
) -> None:
    success = Success.model_validate(condition)
    assert success.of(RETURNS, LENGTHS, ABOVE).tolist() == expected


def test_a_watch_counts_steps_in_a_row_of_first_episodes() -> None:
    watch = ObservationWatch(
        lambda observations: observations, Success(observation_at_least=0.5, observation=1), 2
    )
    for first, second in ((0.6, 0.4), (0.4, 0.5), (0.7, 0.5)):
        watch(np.array([[9.0, first], [9.0, second]]))
    assert watch.steps_above.tolist() == [1, 2]
    watch.reset(np.array([True, False]))
    watch(np.array([[0, 0.9], [0, 0.9]]))
    assert watch.steps_above.tolist() == [1, 3]


def test_measures_are_geometric_means_seed_by_seed() -> None:
    rates = {
        ("default", "default"): np.array([1.0, 0.8]),
        ("default", "random"): np.array([0.8, 0.0]),
        ("default", "extreme"): np.array([0.1, 1.0]),
        ("random", "extreme"): np.array([0.1, 1.0]),
        ("random", "random"): np.array([0.5, 0.5]),
    }
    computed = measures(rates)
    assert computed["default"].mean == pytest.approx(0.9)
    assert computed["default"].std == pytest.approx(np.sqrt(0.02))
    assert computed["interpolation"].worst == 0.5
    assert computed["extrapolation"].mean == pytest.approx((0.2 + 0.0) / 2)
    del rates["random", "random"]
    assert [*measures(rates)] == ["default", "extrapolation"]


def tiny(id: str = "CartPole-v1", **environment: Any) -> Experiment:
    return from_mapping(
        {
            "name": "tiny",
            "environment": {"id": id, "count": 2, **environment},
            "feedback": {"kind": "true_reward"},
            "optimiser": {"kind": "ppo", "steps": 8, "batch_size": 16, "hidden": [4]},
            "budget": {"env_steps": 80, "labels": 0, "rounds": 1, "initial_steps": 16},
        }
    )


def test_a_heavier_world_is_harder_and_the_same_seed_measures_the_same() -> None:
    experiment = tiny(contexts={"force": 10.0})
    policy = experiment.optimiser.initial(experiment.environment.spaces(), 0)
    success = Success(steps_at_least=9)
    usual = measure(experiment, policy, {"force": 10.0}, success, 300)
    assert usual == measure(experiment, policy, {"force": 10.0}, success, 300)
    strong = measure(experiment, policy, {"force": 100.0}, success, 300)
    assert 0 <= strong.success_rate < usual.success_rate <= 1
    assert strong.mean_return < usual.mean_return
    # The cart cannot leave its track, and no observation is above its own bound.
    inside = Success(observation_at_least=-10, observation=0, last_steps=3)
    assert measure(experiment, policy, {"force": 10.0}, inside, 20).success_rate == 1
    above = Success(observation_at_least=10, observation=0, last_steps=3)
    assert measure(experiment, policy, {"force": 10.0}, above, 20).success_rate == 0
    outside = Success(observation_at_least=0, observation=4)
    with pytest.raises(ConfigurationError, match=r"success.observation: expected less than 4"):
        measure(experiment, policy, {"force": 10.0}, outside, 2)


def test_episodes_of_an_environment_without_arrays_are_measured() -> None:
    experiment = tiny(f"{HERE}:Shapes-v0")
    policy = experiment.optimiser.initial(experiment.environment.spaces(), 0)
    measured = measure(experiment, policy, {}, Success(steps_at_most=STEPS), 3)
    assert measured.success_rate == 1.0


STUDY: dict[str, Any] = {
    "name": "study",
    "experiment": tiny().model_dump(mode="json", exclude_unset=True),
    "physics": {"default": {"length": 0.5}, "random": {"length": [0.25, 0.75]}},
    "success": {"steps_at_least": 9},
    "vary": {"optimiser.hidden": [[4], [8]]},
    "seeds": 2,
}


def test_a_study_has_a_cell_for_each_physics_and_method() -> None:
    study = validated(Generalisation, STUDY, "study")
    cells = plan.cells(study.matrix)
    assert [(study.trained_in(cell), study.method(cell)) for cell in cells] == [
        ("default", "true_reward-ppo-hidden4"),
        ("default", "true_reward-ppo-hidden8"),
        ("random", "true_reward-ppo-hidden4"),
        ("random", "true_reward-ppo-hidden8"),
    ]
    assert cells[2].experiment.environment.contexts == {"length": (0.25, 0.75)}


def test_the_table_has_every_pair_and_the_measures() -> None:
    study = validated(Generalisation, STUDY, "study")
    names = study.physics
    rates = {(a, b): np.array([0.5, 0.75]) for a in names for b in names}
    lines = as_markdown(study, {"true_reward-ppo": rates}).splitlines()
    assert lines[-6] == "| true_reward-ppo | default | 62.5 ± 17.7 (50.0) | 62.5 ± 17.7 (50.0) |"
    assert lines[-3:] == [
        "| method | default | interpolation |",
        "|---|---|---|",
        "| true_reward-ppo | 62.5 ± 17.7 (50.0) | 62.5 ± 17.7 (50.0) |",
    ]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"physics": {}}, "at least 1"),
        ({"physics": {"a": {"length": 1}, "b": {"length": 1}}}, r"\['a', 'b'\] are equal"),
        ({"physics": {"a": {"length": 1}, "b": {"mass": 1}}}, "physics.b: expected the same"),
        ({"physics": {"a": {"length": [2, 1]}}}, "contexts.length: expected intervals"),
        ({"success": {}}, "expected one of return_at_least"),
        ({"success": {"steps_at_most": 1, "steps_at_least": 1}}, "expected one of"),
        ({"set": {"environment.contexts": {}}}, "expected the contexts here"),
    ],
)
def test_a_bad_study_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Generalisation.model_validate({**STUDY, **changes})
