"""Exact maximum entropy from an environment's own transition table, and in the loop."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rlhf_core.annotators.expert import Expert
from rlhf_core.budget import Budget
from rlhf_core.demonstrations import Demonstrations, demonstrations
from rlhf_core.environments import Environment
from rlhf_core.errors import ConfigurationError
from rlhf_core.experiment import EvaluationSettings, Experiment
from rlhf_core.feedback.inverse_rl import InverseRL, InverseState
from rlhf_core.in_process import run
from rlhf_core.inverse_rl.maximum_entropy import TabularMDP, expected_visits, soft_policy
from rlhf_core.inverse_rl.tables import TransitionTable, read_table
from rlhf_core.inverse_rl.tabular import RewardTable, TabularReward, fit_table
from rlhf_core.optimisers.ppo import PPO
from rlhf_core.packing import pack
from rlhf_core.teachers.demonstrator import demonstrate
from rlhf_core.types import Rollouts, Trajectory
from tests.core.examples import HERE

FIELD = "feedback.method: 'exact_maximum_entropy'"
GOAL = 15


def lake(slippery: bool, **fields: Any) -> Environment:
    return Environment(
        id="FrozenLake-v1", count=4, options={"is_slippery": slippery, "map_name": "4x4"}, **fields
    )


def greedy(table: TransitionTable, reward: np.ndarray, discount: float = 0.99) -> np.ndarray:
    """Actions (S,) that maximise a reward (S, A) by value iteration."""
    transitions, terminal = table.dense()
    values = np.zeros(len(transitions))
    for _ in range(1000):
        quality = reward + discount * transitions @ values
        values = np.where(terminal, 0.0, quality.max(axis=1))
    best: np.ndarray = quality.argmax(axis=1)
    return best


def expert(environment: Environment) -> tuple[TransitionTable, np.ndarray]:
    """The table, and the actions that reach the goal soonest or most often."""
    table = read_table(environment, FIELD)
    transitions, terminal = table.dense()
    return table, greedy(table, np.where(terminal[:, None], 0.0, transitions[:, :, GOAL]))


def expected_return(table: TransitionTable, policy: np.ndarray, reward: np.ndarray) -> float:
    """Of a stationary policy (S, A), over an episode."""
    transitions, terminal = table.dense()
    mdp = TabularMDP(transitions, table.initial, table.horizon, terminal)
    visits = expected_visits(mdp, np.repeat(policy[None], table.horizon, axis=0))
    return float((visits * np.where(terminal[:, None], 0.0, reward)).sum())


def successes(table: TransitionTable, actions: np.ndarray) -> float:
    """Probability of the goal."""
    transitions, _ = table.dense()
    return expected_return(table, np.eye(4)[actions], transitions[:, :, GOAL])


def episode(states: list[int], actions: list[int], terminated: bool) -> Trajectory:
    return Trajectory(np.array(actions), np.array(states), terminated, not terminated, 0)


def test_a_table_has_the_probabilities_of_the_environment() -> None:
    table = read_table(lake(True, time_limit=30), FIELD)
    transitions, terminal = table.dense()
    # From the start, left leads up, left (both against the edge) or down.
    np.testing.assert_allclose(transitions[0, 0, [0, 4]], [2 / 3, 1 / 3])
    np.testing.assert_allclose(transitions.sum(axis=2), 1)
    # Four holes and the goal.
    assert np.flatnonzero(terminal).tolist() == [5, 7, 11, 12, 15]
    assert (transitions[terminal, :, terminal] == 1).all()
    assert table.initial.tolist() == [1.0] + [0.0] * 15
    assert table.horizon == 30


@pytest.mark.parametrize(
    ("id", "states", "ends"), [("CliffWalking-v1", 48, 1), ("Taxi-v4", 500, 4)]
)
def test_other_environments_publish_tables_too(id: str, states: int, ends: int) -> None:
    table = read_table(Environment(id=id, time_limit=40), FIELD)
    transitions, terminal = table.dense()
    assert transitions.shape[0] == states
    np.testing.assert_allclose(transitions.sum(axis=2), 1)
    assert terminal.sum() == ends


def test_frequencies_of_steps_are_those_of_the_table() -> None:
    environment = lake(True)
    table, actions = expert(environment)
    mean = demonstrated(environment, actions, 400).lengths.mean()
    alive = expected_return(table, np.eye(4)[actions], np.ones((16, 4)))
    assert mean == pytest.approx(alive, rel=0.15)


def demonstrated(environment: Environment, actions: np.ndarray, count: int) -> Demonstrations:
    rng = np.random.default_rng(0)
    return demonstrate(environment, lambda observations: actions[observations], count, rng).episodes


def test_a_terminated_episode_stays_in_its_final_state() -> None:
    table = read_table(lake(False, time_limit=5), FIELD)
    shown = demonstrations(
        [episode([0, 1, 5], [2, 1], True), episode([0, 0, 0, 0, 4, 4], [0, 0, 3, 1, 0], False)]
    )
    visits = table.visits(shown)
    assert visits.sum() == pytest.approx(5)
    np.testing.assert_allclose(visits[0], [1, 0.5, 0.5, 0.5])
    np.testing.assert_allclose(visits[5], np.full(4, 3 / 2 / 4))
    with pytest.raises(ConfigurationError, match=r"last 5 steps.*actual: one of 2 steps"):
        table.visits(demonstrations([episode([0, 4, 8], [1, 1], False)]))


def test_the_soft_policy_ends_with_the_value_0_in_terminal_states() -> None:
    # One step to the end, with rewards 1 and 0, or a detour without any.
    transitions = np.zeros((2, 2, 2))
    transitions[0, 0, 1] = transitions[0, 1, 0] = transitions[1, :, 1] = 1
    mdp = TabularMDP(transitions, np.array([1.0, 0]), 2, np.array([False, True]))
    policy, values = soft_policy(mdp, np.array([[1.0, 0], [0, 0]]))
    last = np.log(np.exp(1) + 1)
    np.testing.assert_allclose(values, [np.log(np.exp(1) + np.exp(last)), 0])
    np.testing.assert_allclose(policy[0, 0, 0], np.exp(1 - values[0]))


@pytest.mark.parametrize("slippery", [False, True])
def test_the_fitted_reward_explains_the_visits(slippery: bool) -> None:
    environment = lake(slippery)
    table, actions = expert(environment)
    shown = demonstrated(environment, actions, 60)
    values = fit_table(table, shown, 0.1).values
    transitions, terminal = table.dense()
    mdp = TabularMDP(transitions, table.initial, table.horizon, terminal)
    soft = expected_visits(mdp, soft_policy(mdp, values)[0])
    # The derivative of the dual is 0: the visits differ by the penalty's pull alone.
    difference = (soft - table.visits(shown))[~terminal]
    np.testing.assert_allclose(difference, -0.1 * values[~terminal], atol=1e-3)
    assert (values[terminal] == 0).all()


def test_a_table_is_looked_up_by_observation_and_action() -> None:
    reward = TabularReward(RewardTable(np.array([[1.0, 2.0], [3.0, 4.0]])))
    found = reward(np.array([1, 0]), np.array([0, 1]), np.array([0, 0]), np.zeros(2, dtype=bool))
    assert found.tolist() == [3, 2]
    assert found.dtype == np.float32


def imitation(environment: Environment, recording: str = "") -> Experiment:
    return Experiment(
        name="lake",
        environment=environment,
        feedback=InverseRL(method="exact_maximum_entropy", demonstrations=40),
        annotator=Expert(recording=recording or None),
        optimiser=PPO(steps=32, batch_size=64, epochs=2, hidden=(16,)),
        budget=Budget(env_steps=1152, labels=40, rounds=2, initial_steps=128),
        evaluation=EvaluationSettings(episodes=4),
    )


@pytest.mark.parametrize("slippery", [False, True])
def test_the_learned_reward_ranks_demonstrated_behaviour_first(
    slippery: bool, tmp_path: Path
) -> None:
    environment = lake(slippery)
    table, actions = expert(environment)
    shown = demonstrated(environment, actions, 40)
    path = tmp_path / "expert.safetensors"
    path.write_bytes(pack(Rollouts(tuple(shown.trajectories()))))
    experiment = imitation(environment, str(path))
    experiment.check()
    final = run(experiment)
    assert isinstance(final.feedback, InverseState)
    assert final.feedback.reward_table is not None
    assert pack(run(experiment).feedback) == pack(final.feedback)
    learned = final.feedback.reward_table.values
    best = greedy(table, learned)
    # Whoever maximises the learned reward reaches the goal as often as the expert.
    assert successes(table, best) == pytest.approx(successes(table, actions), abs=0.02)
    own = expected_return(table, np.eye(4)[actions], learned)
    assert own > expected_return(table, np.full((16, 4), 1 / 4), learned) + 1
    rng = np.random.default_rng(0)
    others = [np.eye(4)[rng.integers(4, size=16)] for _ in range(200)]
    assert own >= max(expected_return(table, other, learned) for other in others)
    assert np.isfinite(list(final.metrics.values())).all()


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        (Environment(id="CartPole-v1", count=4), "transition table.*'CartPole-v1' has none"),
        (Environment(id=f"{HERE}:Corridor-v0", count=4), "transition table.*Corridor-v0' has none"),
        (lake(True, fixed_horizon=20, horizon_form="evolving"), "without a fixed_horizon.*: 20"),
    ],
    ids=["cartpole", "corridor", "fixed horizon"],
)
def test_an_environment_without_a_table_is_refused(environment: Environment, message: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"feedback\.method: .*{message}"):
        imitation(environment).check()
