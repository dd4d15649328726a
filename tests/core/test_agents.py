"""The five-line path: learn, evaluate, act, save and load, without a server."""

from pathlib import Path

import numpy as np
import pytest

from rlhf_core.agents import Agent, PPOAgent
from rlhf_core.environments import Environment
from rlhf_core.errors import ConfigurationError, RunError, StoreError
from rlhf_core.feedback.preference import Preference
from rlhf_core.optimisers.ppo import PPO
from rlhf_core.queries.uniform import Uniform
from rlhf_core.rewards.model import RewardModel
from rlhf_core.store import pack
from rlhf_core.types import Metrics
from tests.core.examples import HERE, segments

QUICK = PPO(steps=32, batch_size=64, epochs=10, hidden=(16,), learning_rate=1e-2, discount=0.5)
ENV = Environment(id=f"{HERE}:Cue-v0", count=8)
STEPS = 6400 + 8 * 256


@pytest.fixture(scope="module")
def trained() -> Agent:
    return PPOAgent(ENV, optimiser=QUICK).learn(env_steps=STEPS, rounds=1)


def test_an_agent_learns_from_the_environments_own_reward(trained: Agent) -> None:
    evaluation = trained.evaluate(episodes=20)
    assert evaluation.returns.shape == (20,)
    assert evaluation.returns.mean() > 7.5
    assert trained.evaluate(episodes=5, deterministic=False).returns.shape == (5,)


def test_an_agent_acts_on_one_observation(trained: Agent) -> None:
    assert trained.act(np.array([1.0], dtype=np.float32)) == 1
    assert trained.act(np.array([-1.0], dtype=np.float32)) == 0


def test_an_agent_learns_from_preferences_when_it_is_given_a_strategy() -> None:
    model = RewardModel(hidden=(16,), members=2, learning_rate=1e-2, epochs=20, batch_size=50)
    feedback = Preference(segment_steps=4, queries=Uniform(), reward_model=model)
    told: list[tuple[int, Metrics]] = []
    agent = PPOAgent(ENV, feedback, optimiser=QUICK, seed=1)
    agent.learn(STEPS, labels=100, rounds=2, watch=lambda *what: told.append(what))
    assert [steps for steps, _ in told] == [6400 + 4 * 256, STEPS]
    assert sum(metrics["feedback/labels"] for _, metrics in told) == 100
    assert agent.evaluate(episodes=20).returns.mean() > 7.5


def test_a_saved_agent_acts_as_it_did(trained: Agent, tmp_path: Path) -> None:
    trained.save(tmp_path / "agent.safetensors")
    loaded = PPOAgent(ENV, optimiser=QUICK).load(tmp_path / "agent.safetensors")
    seen = trained.evaluate(episodes=9)
    np.testing.assert_array_equal(loaded.evaluate(episodes=9).returns, seen.returns)


def test_an_agent_that_knows_nothing_says_so() -> None:
    agent = PPOAgent(ENV)
    for use in (agent.evaluate, lambda: agent.act(np.zeros(1)), lambda: agent.save("nowhere")):
        with pytest.raises(RunError, match=r"no policy yet; call learn\(\) or load\(\) first"):
            use()


def test_a_file_that_is_no_policy_is_refused(tmp_path: Path) -> None:
    (tmp_path / "junk").write_bytes(b"junk")
    (tmp_path / "segments").write_bytes(pack(segments([[1]])))
    with pytest.raises(StoreError, match="expected a stored PolicyState"):
        PPOAgent(ENV).load(tmp_path / "junk")
    with pytest.raises(StoreError, match="expected a PolicyState, actual: Segments"):
        PPOAgent(ENV).load(tmp_path / "segments")


def test_too_few_steps_are_refused_with_the_number_that_is_needed() -> None:
    with pytest.raises(ConfigurationError, match=r"budget.env_steps: expected at least 6912"):
        PPOAgent(ENV, optimiser=QUICK).learn(env_steps=100, rounds=2)


def test_a_rollout_that_the_batch_does_not_divide_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"optimiser.batch_size: expected a divisor"):
        PPOAgent(ENV.model_copy(update={"count": 7}), optimiser=QUICK).learn()
