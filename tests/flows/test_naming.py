"""Names of cells and of registered models."""

import itertools
import json
import re
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from flows.experiments import presets
from flows.experiments.naming import cell_of
from rlhf_core.configuration import load
from rlhf_core.environments.factory import Environment
from rlhf_core.experiment import Experiment
from tasks.tracking.registry import task_name
from tests.core.examples import tiny


def written(name: str) -> Experiment:
    return Experiment.model_validate(yaml.safe_load(presets.text(name)))


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
        (("optimiser.kind=sac", "budget.env_steps=200000"), "preference-sac-env_steps200000"),
        (("feedback.kind=direct_reward", "feedback.rated=signal"), "direct_reward-ppo-signal"),
        (("feedback.form=ranking",), "preference-ppo-ranking"),
        # Not the preset pendulum-click, which has 800 labels.
        (("feedback.form={kind: click, examination: [1.0, 0.7, 0.45, 0.3]}",),
         "preference-ppo-click-labels200"),
        (("environment.options={g: 12.0}",), "preference-ppo-optionsg12.0"),
        (("environment.count=4", "threads=2"), "preference-ppo-count4"),
    ],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore::rlhf_core.errors.UnusedFieldWarning")
def test_a_cell_says_strategy_optimiser_and_what_differs_from_the_preset(
    overrides: tuple[str, ...], cell: str
) -> None:
    assert cell_of(preset(*overrides)) == cell


def test_a_cell_on_an_environment_without_presets_ends_in_a_digest() -> None:
    cell = cell_of(tiny(seed=1))
    assert cell == cell_of(tiny(seed=2)) == cell_of(tiny(name="other"))
    assert cell == cell_of(tiny(threads=2))
    assert cell != cell_of(tiny(feedback={"kind": "preference", "segment_steps": 3}))
    assert re.fullmatch("preference-[a-z_]+-[0-9a-f]{6}", cell)


EVOLVING = "horizon_form_evolving-observation_bound3.0"


def test_presets_have_a_cell_each_on_their_environment_and_no_settings_in_it() -> None:
    pytest.importorskip("transformers")
    assert {name: cell_of(written(name)) for name in presets.names()} == {
        "acrobot-preference": "preference-ppo",
        "cartpole-evolving": f"preference-ppo-{EVOLVING}",
        "cartpole-generalisation": "preference-ppo-environment_contexts_2423e7",
        "cartpole-imitation": f"inverse_rl-ppo-{EVOLVING}",
        "cartpole-preference": "preference-ppo",
        "dialogue-ratings": "direct_reward-ppo",
        "fetch-reach": "preference-ppo",
        "halfcheetah-preference": "preference-ppo",
        "hopper-preference": "preference-ppo",
        "minigrid-doorkey": "preference-ppo",
        "pendulum-click": "preference-ppo-click",
        "pendulum-correction": "preference-ppo-correction",
        "pendulum-evolution": "preference-pgpe",
        "pendulum-people": "preference-ppo-members5-human-aa42aa",
        "pendulum-preference": "preference-ppo",
        "pointmaze-navigation": "preference-ppo",
        "randomwalks-preferences": "preference-grpo",
        "recommender-clicks": "direct_reward-ppo",
        "sentiment-preferences": "preference-grpo",
        "swimmer-preference": "preference-ars",
        "walker2d-preference": "preference-ppo",
    }


CHANGES: tuple[dict[str, Any], ...] = (
    {},
    {"feedback": {"kind": "direct_reward"}},
    {"feedback": {"kind": "true_reward"}},
    {"feedback": {"kind": "preference", "form": "click"}},
    {"feedback": {"kind": "preference", "form": "ranking"}},
    {"feedback": {"kind": "preference"}},
    {"optimiser": {"kind": "ppo", "steps": 100, "batch_size": 100}},
    {"optimiser": {"kind": "pgpe", "population": 8, "episodes": 1}},
    {"budget": {"env_steps": 20_000_000, "labels": 200, "rounds": 8}},
    {"budget": {"env_steps": 20_000_000, "labels": 800, "rounds": 8}},
    {"annotator": {"kind": "synthetic", "mistake": 0.1}},
    {"evaluation": {"episodes": 10}},
)


@pytest.mark.parametrize("environment", ["Pendulum-v1", "CartPole-v1"])
def test_no_two_configurations_share_a_cell_and_one_has_the_same_everywhere(
    environment: str,
) -> None:
    contents: dict[str, str] = {}
    cells: dict[str, str] = {}
    plain = written("walker2d-preference").model_dump(include={"budget"})
    environments = [{"id": environment, "fixed_horizon": steps} for steps in (None, 300)]
    for data in (yaml.safe_load(presets.text(name)) for name in presets.names()):
        if data["environment"]["id"] != environment:
            continue
        for first, second in itertools.combinations_with_replacement(CHANGES, 2):
            for task in (data["environment"], *environments):
                whole = {**data, "budget": plain["budget"], **first, **second, "environment": task}
                try:
                    experiment = Experiment.model_validate(whole)
                except ValidationError:
                    continue  # Such as too few steps for the population.
                counted = experiment.model_dump(mode="json", exclude={"name", "seed", "threads"})
                content = json.dumps(counted, sort_keys=True)
                cell = cell_of(experiment)
                assert contents.setdefault(cell, content) == content, cell
                assert cells.setdefault(content, cell) == cell
    assert len(cells) > 100


def test_a_task_is_called_by_the_environment_and_what_else_makes_it() -> None:
    assert task_name(Environment(id="Pendulum-v1", count=4)) == "Pendulum-v1"
    cartpole = Environment(id="CartPole-v1", fixed_horizon=500)
    assert task_name(cartpole) == "CartPole-v1-fixed_horizon500"
    assert task_name(Environment(id="ALE/Pong-v5")) == "ALE-Pong-v5"
    assert task_name(Environment(id="mine:Cart-v0")) == "mine-Cart-v0"
    heavy = Environment(id="Pendulum-v1", options={"g": 12.0})
    assert task_name(heavy) == "Pendulum-v1-optionsg12.0"
