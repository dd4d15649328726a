"""A2C, TRPO and PPO with a memory: relabelling equals the libraries' own on the same rewards."""

from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces
from sb3_contrib import TRPO as PlainTRPO  # noqa: N811
from sb3_contrib import RecurrentPPO as PlainRecurrentPPO
from stable_baselines3 import A2C as PlainA2C  # noqa: N811
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnvWrapper
from stable_baselines3.common.vec_env.base_vec_env import VecEnvObs, VecEnvStepReturn

from rlhf_core.acting import RecurrentPolicy
from rlhf_core.agents import Agent
from rlhf_core.cloning_settings import Cloning, CloningSettings
from rlhf_core.environments import Environment
from rlhf_core.environments.factory import episode_seeds
from rlhf_core.environments.spaces import Spaces
from rlhf_core.errors import ConfigurationError
from rlhf_core.evaluation.returns import evaluate
from rlhf_core.experiment import Experiment
from rlhf_core.feedback.inverse_rl import InverseRL
from rlhf_core.optimisers import OPTIMISERS
from rlhf_core.optimisers.a2c import A2C
from rlhf_core.optimisers.recurrent_ppo import RecurrentPPO
from rlhf_core.optimisers.trpo import TRPO
from rlhf_core.packing import pack, unpack
from rlhf_core.policies import PolicyState
from rlhf_core.rewards import EnvironmentReward
from rlhf_core.rollouts import collect
from rlhf_core.seeding import isolated
from rlhf_core.stable_baselines.on_policy import restore
from rlhf_core.stable_baselines.on_policy_optimiser import ActorCritic
from rlhf_core.stable_baselines.recurrent import PIECE, pieces
from rlhf_core.types import Transitions
from tests.core.examples import HERE

DRIFT = Environment(id=f"{HERE}:Drift-v0", count=2)
STEPS = 3 * 16
FIELDS: dict[str, dict[str, Any]] = {
    "a2c": {},
    "trpo": {"batch_size": 8},
    "recurrent_ppo": {"batch_size": 8, "epochs": 2, "lstm_size": 5},
}
PLAIN: dict[str, Any] = {
    "a2c": (PlainA2C, {"normalize_advantage": True}),
    "trpo": (PlainTRPO, {"batch_size": 8}),
    "recurrent_ppo": (PlainRecurrentPPO, {"batch_size": 8, "n_epochs": 2}),
}


def small(kind: str) -> ActorCritic:
    shared: dict[str, Any] = {
        "steps": 8, "hidden": (6,), "learning_rate": 1e-2, "discount": 0.9,
        "learning_rate_schedule": "constant", "normalise_returns": False,
    }  # fmt: skip
    made = OPTIMISERS.get(kind).model_validate({**shared, **FIELDS[kind]})
    assert isinstance(made, ActorCritic)
    return made


def drift_reward(
    observation: np.ndarray, action: np.ndarray, after: np.ndarray, terminated: np.ndarray
) -> np.ndarray:
    """What Drift-v0 pays."""
    return -np.square(after[:, 0])


class WithoutTimeLimits(VecEnvWrapper):
    """Hides from the learner that an episode was cut off."""

    def reset(self) -> VecEnvObs:
        return self.venv.reset()

    def step_wait(self) -> VecEnvStepReturn:
        seen, rewards, done, infos = self.venv.step_wait()
        return seen, rewards, done, [{**info, "TimeLimit.truncated": False} for info in infos]


def plain(kind: str, state: PolicyState, seed: int, careless: bool = False) -> Any:
    """The library alone, from the same weights, seeds and draws, paid by the environment."""
    vector: Any = DummyVecEnv([DRIFT.make, DRIFT.make])
    vector._seeds = list(episode_seeds(np.random.default_rng(seed), 2))
    algorithm, own = PLAIN[kind]
    shape: dict[str, Any] = {"net_arch": {"pi": [6], "vf": [6]}}
    recurrent = kind == "recurrent_ppo"
    if recurrent:
        shape["lstm_hidden_size"] = 5
    with isolated(seed):
        model = algorithm(
            "MlpLstmPolicy" if recurrent else "MlpPolicy",
            WithoutTimeLimits(vector) if careless else vector,
            learning_rate=1e-2, n_steps=8, gamma=0.9, gae_lambda=0.95, policy_kwargs=shape,
            device="cpu", **own,
        )  # fmt: skip
        restore(model.policy, state)
        model.learn(STEPS)
    return model


def distance(state: PolicyState, model: Any) -> float:
    """The largest difference between any two weights."""
    theirs = model.policy.state_dict()
    assert set(theirs) == set(state.parameters)
    return max(float(np.abs(state.parameters[n] - theirs[n].numpy()).max()) for n in theirs)


@pytest.mark.parametrize("kind", FIELDS)
def test_relabelling_equals_the_plain_algorithm_on_the_same_rewards(kind: str) -> None:
    """Episodes are cut off within rollouts, and go on from one to the next."""
    optimiser = small(kind)
    start = optimiser.initial(DRIFT.spaces(), 0)
    outcome = optimiser.optimise(start, DRIFT, drift_reward, STEPS, STEPS, 3)
    assert distance(outcome.state, plain(kind, start, 3)) < 1e-4
    assert distance(outcome.state, plain(kind, start, 3, careless=True)) > 1e-3
    assert distance(start, plain(kind, start, 3)) > 1e-2
    assert "policy/value_explained_variance" in outcome.metrics


@pytest.mark.parametrize("kind", FIELDS)
def test_a_policy_that_was_stored_goes_on_as_if_it_had_not_been(kind: str) -> None:
    optimiser = small(kind)
    start = optimiser.initial(DRIFT.spaces(), 0)
    first = optimiser.optimise(start, DRIFT, drift_reward, STEPS, 2 * STEPS, 3).state
    stored = unpack(pack(first), PolicyState)
    one, two = (
        optimiser.optimise(s, DRIFT, drift_reward, STEPS, 2 * STEPS, 4).state
        for s in (first, stored)
    )
    assert pack(one) == pack(two)
    assert first.optimizer_state


class Recall(gymnasium.Env[np.ndarray, Any]):
    """A coin is shown in the first step alone; each step pays 1 for the action that names it."""

    def __init__(self) -> None:
        self.observation_space = spaces.Box(-1, 1, (1,))
        self.action_space = spaces.Discrete(2)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        super().reset(seed=seed)
        self.coin = int(self.np_random.integers(2))
        return np.array([2 * self.coin - 1], dtype=np.float32), {}

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        return np.zeros(1, dtype=np.float32), float(action == self.coin), False, False, {}


gymnasium.register("Recall-v0", Recall, max_episode_steps=4)
RECALL = Environment(id="Recall-v0", count=16)


def returns(
    optimiser: ActorCritic, state: PolicyState, environment: Environment = RECALL
) -> np.ndarray:
    vector = environment.make_vector(40)
    act = optimiser.act(state, environment.spaces(), deterministic=True)
    played = evaluate(vector, act, episode_seeds(np.random.default_rng(2), 40))
    vector.close()
    return played.returns


def test_a2c_solves_a_tiny_task_by_its_true_reward() -> None:
    cue = Environment(id=f"{HERE}:Cue-v0", count=16)
    optimiser = A2C(hidden=(16,), discount=0.5, learning_rate=1e-2)
    start, total = optimiser.initial(cue.spaces(), 0), 40 * 128
    state = optimiser.optimise(start, cue, EnvironmentReward(), total, total, 1).state
    # By chance 4.
    assert returns(optimiser, state, cue).mean() > 7.8


def test_trpo_solves_a_tiny_task_by_its_true_reward() -> None:
    cue = Environment(id=f"{HERE}:Cue-v0", count=16)
    optimiser = TRPO(hidden=(16,), discount=0.5, steps=16, max_kl=0.05)
    start, total = optimiser.initial(cue.spaces(), 0), 20 * 256
    state = optimiser.optimise(start, cue, EnvironmentReward(), total, total, 1).state
    assert returns(optimiser, state, cue).mean() > 7.8


def test_a_memory_solves_what_cannot_be_seen() -> None:
    optimiser = RecurrentPPO(
        steps=16, lstm_size=8, hidden=(8,), learning_rate=2e-2, discount=0.5, epochs=4
    )
    start = optimiser.initial(RECALL.spaces(), 0)
    total = 12 * 256
    state = optimiser.optimise(start, RECALL, EnvironmentReward(), total, total, 1).state
    # Without a memory: 1 + 3 / 2.
    assert returns(optimiser, state).mean() > 3.8


def test_a_memory_is_cloned_from_whole_episodes() -> None:
    optimiser = RecurrentPPO(lstm_size=8, hidden=(8,))
    coins = np.random.default_rng(0).integers(2, size=60)
    seen = np.zeros((60, 5, 1), dtype=np.float32)
    seen[:, 0, 0] = 2 * coins - 1
    shown = Transitions(
        seen[:, :-1].reshape(-1, 1), np.repeat(coins, 4), seen[:, 1:].reshape(-1, 1),
        np.zeros(240, dtype=bool),
    )  # fmt: skip
    start = optimiser.initial(RECALL.spaces(), 0)
    cloning = Cloning(shown, np.full(60, 4), CloningSettings(updates=500), True)
    cloned, metrics = optimiser.clone(start, RECALL.spaces(), cloning, 1)
    assert metrics["cloning/heldout_loss"] < 0.1
    assert returns(optimiser, cloned).mean() == 4


def test_pieces_are_of_steps_that_follow_one_another() -> None:
    # Two episodes of 3 steps; one of 40.
    rows, mask = pieces(np.array([3, 3, 40]))
    found = [row[kept].tolist() for row, kept in zip(rows, mask, strict=True)]
    assert found == [[0, 1, 2], [3, 4, 5], [*range(6, 6 + PIECE)], [*range(6 + PIECE, 46)]]


def test_acting_goes_on_from_what_was_seen_and_begins_again() -> None:
    optimiser = small("recurrent_ppo")
    found = Spaces(spaces.Box(-1, 1, (1,)), spaces.Box(-1, 1, (1,)))
    state = optimiser.initial(found, 0)
    act = optimiser.act(state, found, deterministic=True)
    assert isinstance(act, RecurrentPolicy)
    assert not isinstance(
        small("a2c").act(small("a2c").initial(found, 0), found, True), RecurrentPolicy
    )
    seen = np.array([[1.0], [-1.0]], dtype=np.float32)
    first, second = act(seen), act(seen)
    assert (first != second).all()
    act.reset(np.array([True, False]))
    third = act(seen)
    assert third[0] == pytest.approx(first[0], abs=1e-6)
    assert third[1] != pytest.approx(first[1], abs=1e-6)
    # A batch of another size is of other episodes.
    np.testing.assert_allclose(act(seen[:1]), first[:1], atol=1e-6)


def test_an_agent_goes_on_until_it_is_told_of_a_new_episode() -> None:
    agent = Agent(DRIFT, small("recurrent_ppo"))
    agent.policy = agent.optimiser.initial(DRIFT.spaces(), 0)
    seen = np.ones(1, dtype=np.float32)
    first, second, again = agent.act(seen), agent.act(seen), agent.act(seen, first=True)
    assert first == again
    assert first != second


class Counting:
    """Acts by the number of steps that it remembers of an episode."""

    def __init__(self) -> None:
        self.steps = np.zeros(0, dtype=np.int64)

    def __call__(self, observations: np.ndarray) -> np.ndarray:
        self.steps += 1
        return self.steps % 2

    def reset(self, copies: np.ndarray) -> None:
        kept = self.steps if len(self.steps) == len(copies) else np.zeros(len(copies), np.int64)
        self.steps = np.where(copies, 0, kept)


def test_whoever_plays_tells_where_episodes_begin() -> None:
    vector = RECALL.make_vector(3)
    rollouts, _ = collect(vector, Counting(), 10, [1, 2, 3])
    vector.close()
    for found in rollouts.trajectories:
        np.testing.assert_array_equal(found.actions, (np.arange(len(found)) + 1) % 2)


def test_a_policy_with_a_memory_has_no_likelihood_of_single_steps() -> None:
    experiment = Experiment(
        name="airl", environment=DRIFT.model_copy(update={"count": 8}),
        feedback=InverseRL(method="airl"), optimiser=RecurrentPPO(),
    )  # fmt: skip
    with pytest.raises(ConfigurationError, match=r"airl needs the likelihood.*'recurrent_ppo'"):
        experiment.check()


def test_the_same_arguments_give_the_same_policy_whatever_went_before() -> None:
    for kind in FIELDS:
        optimiser = small(kind)
        start = optimiser.initial(DRIFT.spaces(), 0)
        first = optimiser.optimise(start, DRIFT, drift_reward, STEPS, STEPS, 3)
        torch.manual_seed(99)
        np.random.seed(99)
        again = optimiser.optimise(start, DRIFT, drift_reward, STEPS, STEPS, 3)
        assert pack(first.state) == pack(again.state)
