"""Names of cells and of registered models."""

import pytest
import yaml

from flows.experiments import presets
from flows.experiments.naming import cell_of
from rlhf_core.configuration import load
from rlhf_core.environments.factory import Environment
from rlhf_core.experiment import Experiment
from tasks.tracking.registry import task_name
from tests.core.examples import tiny


def preset(*overrides: str) -> Experiment:
    return load(presets.find("pendulum-preference"), overrides)


@pytest.mark.parametrize(
    ("overrides", "cell"),
    [
        ((), "preference-ppo"),
        (("seed=3",), "preference-ppo"),
        (("budget.labels=50",), "preference-ppo-labels50"),
        (("feedback.kind=constant",), "constant-ppo"),
        (("feedback.kind=inverse_rl", "feedback.method=airl"), "inverse_rl-ppo-method_airl"),
        (
            ("optimiser.kind=pgpe", "budget.env_steps=8192000"),
            "preference-pgpe-env_steps8192000",
        ),
    ],
)
@pytest.mark.filterwarnings("ignore::rlhf_core.errors.UnusedFieldWarning")
def test_a_cell_says_strategy_optimiser_and_what_differs_from_the_preset(
    overrides: tuple[str, ...], cell: str
) -> None:
    assert cell_of(preset(*overrides)) == cell


def test_a_cell_of_an_experiment_that_is_no_preset_ends_in_a_digest_without_seed_and_name() -> None:
    cell = cell_of(tiny(seed=1))
    assert cell == cell_of(tiny(seed=2)) == cell_of(tiny(name="other"))
    assert cell != cell_of(tiny(threads=2))
    assert cell.startswith("preference-")
    assert len(cell.rpartition("-")[2]) == 4


@pytest.mark.parametrize("name", presets.names())
def test_every_preset_is_the_plain_cell_of_its_name(name: str) -> None:
    experiment = Experiment.model_validate(yaml.safe_load(presets.text(name)))
    assert cell_of(experiment) == f"{experiment.feedback.kind}-{experiment.optimiser.kind}"


def test_a_task_is_called_by_the_environment_and_what_else_makes_it() -> None:
    assert task_name(Environment(id="Pendulum-v1", count=4)) == "Pendulum-v1"
    cartpole = Environment(id="CartPole-v1", fixed_horizon=500)
    assert task_name(cartpole) == "CartPole-v1-fixed_horizon500"
    assert task_name(Environment(id="ALE/Pong-v5")) == "ALE-Pong-v5"
    assert task_name(Environment(id="mine:Cart-v0")) == "mine-Cart-v0"
    heavy = Environment(id="Pendulum-v1", options={"g": 12.0})
    assert task_name(heavy) == "Pendulum-v1-optionsg12.0"
