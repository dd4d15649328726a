"""The expert's own return: measured, told, and warned of where it is poor."""

import re
from dataclasses import replace

import numpy as np
import pytest

from rlhf_core.annotators.expert import Expert
from rlhf_core.driver import Start
from rlhf_core.environments.factory import Environment
from rlhf_core.experiment import Experiment
from rlhf_core.in_process import InProcess
from rlhf_core.optimisers.ppo import PPO
from rlhf_core.teachers.demonstrator import demonstrate
from rlhf_core.teachers.expert_quality import (
    describe_expert,
    expert_metrics,
    expert_warning,
)

MEASURED = {
    "expert/true_return_mean": -159.25,
    "expert/episodes": 20.0,
    "expert/steps": 4000.0,
    "eval/first_return_iqm": -1200.0,
}


def test_true_returns_are_those_of_the_first_episode_of_each_copy() -> None:
    # Always to the left, a pole falls within some ten steps, each of which pays 1.
    pole = Environment(id="CartPole-v1", count=4)
    shown = demonstrate(
        pole, lambda seen: np.zeros(len(seen), dtype=np.int64), 6, np.random.default_rng(0)
    )
    assert shown.true_returns.tolist() == shown.episodes.lengths.tolist()
    assert 8 <= shown.true_returns.min() <= shown.true_returns.max() <= 11


def test_the_expert_is_measured_before_the_first_question() -> None:
    pole = Environment(id="CartPole-v1", count=4)
    expert = Expert(env_steps=512, episodes=5, optimiser=PPO(steps=32, batch_size=32))
    state = expert.prepare(pole, PPO(), 3, np.random.default_rng(0))
    lengths = state.arrays["demonstrations/lengths"]
    assert expert_metrics(state) == {
        "expert/true_return_mean": pytest.approx(lengths.mean()),
        "expert/episodes": 5.0,
        "expert/steps": float(lengths.sum()),
    }
    arrays = {n: a for n, a in state.arrays.items() if n != "demonstrations/true_returns"}
    assert expert_metrics(replace(state, arrays=arrays)).keys() == {
        "expert/episodes",
        "expert/steps",
    }
    assert expert_metrics(replace(state, arrays={})) == {}
    tried = Experiment(name="shown", environment=pole, annotator=expert)
    assert InProcess(tried).prepare(Start()).metrics["expert/episodes"] == 5.0


def test_the_expert_is_described_in_one_line() -> None:
    assert describe_expert(MEASURED) == (
        "expert: mean true return -159.2 over 20 episodes (4000 steps); the untrained policy has "
        "-1200.0"
    )
    assert describe_expert({"expert/episodes": 3.0, "expert/steps": 60.0}) is None


@pytest.mark.parametrize(
    ("expert", "solved", "message"),
    [
        (-1200.0, None, "no better than the untrained policy"),
        (-1300.0, -200.0, "no better than the untrained policy"),
        (-701.0, -200.0, "the expert is poor .* solved at -200"),
        (-700.0, -200.0, None),
        (-1199.0, None, None),
    ],
)
def test_a_poor_expert_is_named(expert: float, solved: float | None, message: str | None) -> None:
    warning = expert_warning({**MEASURED, "expert/true_return_mean": expert}, solved)
    if message is None:
        assert warning is None
    else:
        assert warning is not None
        assert re.search(message, warning)


def test_nothing_is_said_where_a_return_is_not_known() -> None:
    assert expert_warning({"expert/episodes": 3.0}, 475.0) is None


@pytest.mark.parametrize(
    ("environment", "solved"),
    [
        (Environment(id="CartPole-v1"), 475.0),
        (Environment(id="CartPole-v1", fixed_horizon=500), 475.0),
        (Environment(id="CartPole-v1", fixed_horizon=200), None),
        (Environment(id="Pendulum-v1"), None),
        (Environment(id="Pendulum-v1", options={"g": 9.81}), None),
    ],
)
def test_an_environment_is_solved_where_gymnasium_says_so(
    environment: Environment, solved: float | None
) -> None:
    assert environment.solved_at() == solved
