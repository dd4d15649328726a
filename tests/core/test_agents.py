"""The five-line path: learn, evaluate, act, save and load, without a server."""

import os
from pathlib import Path

import gymnasium
import numpy as np
import pytest
from gymnasium.envs.classic_control import CartPoleEnv

from rlhf_core.agents import Agent, ESAgent, InverseRLAgent, LearnedReward, PPOAgent
from rlhf_core.annotators.crowd import Crowd
from rlhf_core.annotators.expert import Expert
from rlhf_core.environments import Environment, GymEnv
from rlhf_core.errors import ConfigurationError, RunError, ShapeError, StoreError
from rlhf_core.evaluation.outcome import Evaluation
from rlhf_core.feedback.inverse_rl import InverseRL
from rlhf_core.feedback.preference import Preference
from rlhf_core.optimisers.a2c import A2C
from rlhf_core.optimisers.ars import ARS
from rlhf_core.optimisers.ppo import PPO
from rlhf_core.packing import pack
from rlhf_core.queries.uniform import Uniform
from rlhf_core.rewards.model import RewardModel
from rlhf_core.types import Metrics
from tests.core.examples import HERE, segments

QUICK = PPO(steps=32, batch_size=64, epochs=10, hidden=(16,), learning_rate=1e-2, discount=0.5)
ENV = Environment(id=f"{HERE}:Cue-v0", count=8)
STEPS = 6400 + 8 * 256
EXPERT = Expert(env_steps=4096)


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


def parameters(agent: Agent) -> np.ndarray:
    assert agent.policy is not None
    return np.concatenate([array.ravel() for array in agent.policy.parameters.values()])


def test_each_call_of_learn_goes_on_where_the_last_one_ended() -> None:
    agent, watched = PPOAgent(ENV, optimiser=QUICK), list[int]()
    policies = []
    for _ in range(3):
        agent.learn(env_steps=STEPS, rounds=1, watch=lambda steps, _: watched.append(steps))
        policies.append(parameters(agent))
    # The first call spends 6,400 steps on rollouts of the untrained policy.
    assert watched == [STEPS, STEPS + 8448, STEPS + 2 * 8448]
    assert agent.steps == watched[-1]
    assert not np.array_equal(policies[0], policies[1])
    assert agent.policy is not None
    # Adam's steps are counted on.
    counts = [v for name, v in agent.policy.optimizer_state.items() if name.endswith("step")]
    assert counts
    assert min(float(np.min(count)) for count in counts) > 3 * 10 * 2048 / 64
    agent.learn(env_steps=STEPS, rounds=1, reset=True)
    np.testing.assert_array_equal(parameters(agent), policies[0])
    assert agent.steps == STEPS


def test_further_labels_are_added_to_those_of_earlier_calls() -> None:
    model = RewardModel(hidden=(16,), members=2, epochs=1, batch_size=50)
    agent = PPOAgent(ENV, Preference(segment_steps=4, reward_model=model), optimiser=QUICK)
    counted: list[float] = []
    for _ in range(2):
        agent.learn(
            STEPS, labels=30, rounds=1,
            watch=lambda _, metrics: counted.append(metrics["feedback/labels_total"]),
        )  # fmt: skip
    assert counted == [30, 60]


def test_a_saved_agent_acts_as_it_did(trained: Agent, tmp_path: Path) -> None:
    trained.save(tmp_path / "agent.safetensors")
    loaded = PPOAgent(ENV, optimiser=QUICK).load(tmp_path / "agent.safetensors")
    evaluation = trained.evaluate(episodes=9)
    np.testing.assert_array_equal(loaded.evaluate(episodes=9).returns, evaluation.returns)


@pytest.mark.parametrize("kind", ["preference", "gail", "ars"])
def test_a_loaded_agent_learns_on_as_the_saved_one_does(kind: str, tmp_path: Path) -> None:
    model = RewardModel(hidden=(16,), members=2, epochs=1, batch_size=50)

    def fresh(seed: int) -> Agent:
        if kind == "gail":
            return Agent(ENV, QUICK, InverseRL(demonstrations=3), EXPERT, seed)
        feedback = Preference(segment_steps=4, reward_model=model)
        if kind == "ars":
            return ESAgent(ENV, feedback, optimiser=ARS(population=8), seed=seed)
        return PPOAgent(ENV, feedback, optimiser=QUICK, seed=seed)

    first = fresh(3).learn(STEPS, labels=20, rounds=1)
    first.save(tmp_path / "agent.safetensors")
    second = fresh(4).load(tmp_path / "agent.safetensors")
    for agent in (first, second):
        agent.learn(STEPS, labels=20, rounds=1)
    np.testing.assert_array_equal(parameters(first), parameters(second))
    assert first.steps == second.steps


def test_a_learned_reward_is_called_saved_and_loaded(tmp_path: Path) -> None:
    agent = Agent(ENV, QUICK, InverseRL(demonstrations=5), EXPERT).learn(STEPS, rounds=1)
    # The cue is rewarded where the action has its sign.
    cues = np.array([[1.0], [1.0], [-1.0], [-1.0]], dtype=np.float32)
    actions = np.array([1, 0, 0, 1])
    right, wrong, right_too, wrong_too = agent.reward(cues, actions, cues)
    assert min(right, right_too) > max(wrong, wrong_too)
    agent.reward.save(tmp_path / "reward.safetensors")
    loaded = LearnedReward.load(tmp_path / "reward.safetensors")
    np.testing.assert_array_equal(loaded(cues, actions, cues), agent.reward(cues, actions, cues))
    with pytest.raises(ShapeError, match=r"observation: expected shape \(B, 1\), actual: \(4, 2\)"):
        loaded(np.zeros((4, 2)), actions, cues)


def test_an_inverse_rl_agent_learns_from_a_recording(trained: Agent, tmp_path: Path) -> None:
    trained.record(tmp_path / "expert.safetensors", episodes=4)
    agent = InverseRLAgent(
        ENV, "behaviour_cloning", 4, tmp_path / "expert.safetensors", optimiser=QUICK
    )
    assert agent.learn(STEPS, rounds=1).evaluate(episodes=20).mean > 7.5


def test_an_agent_without_a_learned_reward_says_so(trained: Agent) -> None:
    with pytest.raises(RunError, match="learned no reward yet"):
        _ = PPOAgent(ENV).reward
    with pytest.raises(RunError, match="kind 'true_reward' learns no reward"):
        _ = trained.reward


def test_an_agent_that_fits_something_else_is_refused(trained: Agent, tmp_path: Path) -> None:
    path = tmp_path / "agent.safetensors"
    trained.save(path)
    with pytest.raises(
        ConfigurationError, match=r"environment: expected observations as of '.*Cue"
    ):
        PPOAgent(Environment(id="CartPole-v1", count=8), optimiser=QUICK).load(path)
    with pytest.raises(
        ConfigurationError, match="optimiser: expected one whose policy has the saved"
    ):
        PPOAgent(ENV, optimiser=PPO(hidden=(8,), steps=32, batch_size=64)).load(path)
    with pytest.raises(
        ConfigurationError, match=r"feedback.kind: expected 'true_reward', by which"
    ):
        PPOAgent(ENV, Preference(), optimiser=QUICK).load(path)
    with pytest.raises(ConfigurationError, match="optimiser: expected kind 'ppo', which the saved"):
        Agent(ENV, A2C()).load(path)
    with pytest.raises(ConfigurationError, match="annotator: expected kind 'synthetic', who"):
        PPOAgent(ENV, annotator=Crowd(), optimiser=QUICK).load(path)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for read in (PPOAgent(ENV).load, LearnedReward.load):
        with pytest.raises(StoreError, match="expected a regular file, actual: a pipe"):
            read(pipe)
    with pytest.raises(StoreError, match="cannot be written"):
        trained.save(tmp_path / "no" / "folder")
    with pytest.raises(StoreError, match=r"expected a file that Agent\.save wrote"):
        PPOAgent(ENV).load(tmp_path / "nowhere")


def test_an_agent_takes_what_gymnasium_made() -> None:
    agent = PPOAgent(gymnasium.make("Pendulum-v1", g=5.0))
    assert agent.env.id == "Pendulum-v1"
    assert agent.env.options == {"g": 5.0}
    assert GymEnv(gymnasium.make("CartPole-v1", max_episode_steps=30)).horizon() == 30
    with pytest.raises(ConfigurationError, match="in the wrappers NormalizeObservation; register"):
        GymEnv(gymnasium.wrappers.NormalizeObservation(gymnasium.make("CartPole-v1")))
    with pytest.raises(
        ConfigurationError, match="which was made without an id; register its class"
    ):
        GymEnv(CartPoleEnv())


def test_an_evaluation_prints_what_counts() -> None:
    evaluation = Evaluation(np.array([0.0, 10.0, 10.0, 30.0]), np.array([2, 2, 2, 4]))
    assert (evaluation.mean, evaluation.iqm) == (12.5, 10.0)
    text = str(evaluation)
    assert text.startswith("true return over 4 episodes: mean 12.5, IQM 10.0 (95 % interval ")
    assert text.endswith("mean length 2")
    success = Evaluation(np.zeros(4), np.ones(4, dtype=int), np.array([True, True, True, False]))
    assert str(success).endswith("success 75%")


def test_a_progress_bar_counts_the_steps(capsys: pytest.CaptureFixture[str]) -> None:
    PPOAgent(ENV, optimiser=QUICK).learn(STEPS, rounds=1, progress_bar=True)
    assert "environment steps" in capsys.readouterr().out


def test_an_agent_that_knows_nothing_says_so() -> None:
    agent = PPOAgent(ENV)
    for use in (agent.evaluate, lambda: agent.act(np.zeros(1)), lambda: agent.save("nowhere")):
        with pytest.raises(RunError, match=r"no policy yet; call learn\(\) or load\(\) first"):
            use()


def test_a_file_that_is_no_policy_is_refused(tmp_path: Path) -> None:
    (tmp_path / "junk").write_bytes(b"junk")
    (tmp_path / "segments").write_bytes(pack(segments([[1]])))
    with pytest.raises(StoreError, match="expected a stored SavedAgent"):
        PPOAgent(ENV).load(tmp_path / "junk")
    with pytest.raises(StoreError, match="expected a SavedAgent, actual: Segments"):
        PPOAgent(ENV).load(tmp_path / "segments")


def test_what_is_refused_leaves_the_agent_as_it_was(trained: Agent) -> None:
    before = parameters(trained)
    with pytest.raises(ConfigurationError, match=r"budget\.env_steps: expected at least 6912"):
        trained.learn(env_steps=100, rounds=2, reset=True)
    with pytest.raises(
        ConfigurationError, match=r"^env_steps: expected at least 512 .*actual: 100"
    ):
        trained.learn(env_steps=100, rounds=2)
    np.testing.assert_array_equal(parameters(trained), before)


def test_too_few_steps_are_refused_with_the_number_that_is_needed() -> None:
    with pytest.raises(ConfigurationError, match=r"budget.env_steps: expected at least 6912"):
        PPOAgent(ENV, optimiser=QUICK).learn(env_steps=100, rounds=2)


def test_a_rollout_that_the_batch_does_not_divide_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"optimiser.batch_size: expected a divisor"):
        PPOAgent(ENV.model_copy(update={"count": 7}), optimiser=QUICK).learn()
