"""Exact maximum entropy inverse reinforcement learning, against solutions known otherwise."""

import numpy as np
import pytest
from scipy.optimize import minimize

from rlhf_core.errors import ConfigurationError, ShapeError
from rlhf_core.inverse_rl.maximum_entropy import (
    TabularMDP,
    demonstrated_visits,
    expected_visits,
    maximum_entropy,
    soft_policy,
)


def random_mdp(seed: int, states: int = 10, actions: int = 3, horizon: int = 15) -> TabularMDP:
    rng = np.random.default_rng(seed)
    return TabularMDP(
        rng.dirichlet(np.full(states, 0.3), size=(states, actions)),
        rng.dirichlet(np.ones(states)),
        horizon,
    )


def of_states(reward: np.ndarray, mdp: TabularMDP) -> np.ndarray:
    return np.repeat(reward[:, None], mdp.transitions.shape[1], axis=1)


def test_the_soft_policy_of_one_step_is_a_softmax() -> None:
    mdp = TabularMDP(np.ones((1, 3, 1)), np.ones(1), 1)
    reward = np.log(np.array([[1.0, 2.0, 5.0]]))
    policy, values = soft_policy(mdp, reward)
    np.testing.assert_allclose(policy, [[[1 / 8, 2 / 8, 5 / 8]]])
    np.testing.assert_allclose(values, np.log([8.0]))


def test_the_soft_policy_chooses_paths_by_their_returns() -> None:
    # Where actions decide where one goes, a path has probability exp(return) / sum of them.
    go = np.zeros((3, 2, 3))
    go[0, 0, 1] = go[0, 1, 2] = go[1, :, 1] = go[2, :, 2] = 1
    mdp = TabularMDP(go, np.array([1.0, 0, 0]), 3)
    reward = of_states(np.array([0.3, 0.5, -0.25]), mdp)
    policy, _ = soft_policy(mdp, reward)
    # Two actions at each of the two later steps lead along either path alike.
    assert policy[0, 0, 0] == pytest.approx(1 / (1 + np.exp(-1.5)))


def test_visits_are_those_of_simulated_episodes() -> None:
    mdp = random_mdp(3, states=4, horizon=6)
    policy, _ = soft_policy(mdp, of_states(np.array([1.0, 0, -1, 2]), mdp))
    rng, seen, acted = np.random.default_rng(0), [], []
    for _ in range(4000):
        state, states, actions = rng.choice(4, p=mdp.initial), [], []
        for chances in policy:
            action = rng.choice(3, p=chances[state] / chances[state].sum())
            states.append(state)
            actions.append(action)
            state = rng.choice(4, p=mdp.transitions[state, action])
        seen.append(np.array(states))
        acted.append(np.array(actions))
    counted = demonstrated_visits(seen, acted, (4, 3))
    assert counted.sum() == pytest.approx(6)
    np.testing.assert_allclose(counted, expected_visits(mdp, policy), atol=0.06)


@pytest.mark.parametrize("seed", range(6))
def test_the_recovered_reward_visits_what_was_demonstrated(seed: int) -> None:
    mdp = random_mdp(seed)
    reward = np.random.default_rng(seed).normal(size=10)
    policy, _ = soft_policy(mdp, of_states(reward, mdp))
    visits = expected_visits(mdp, policy)
    found = maximum_entropy(mdp, visits)
    assert found.gap < 1e-6
    np.testing.assert_allclose(found.visits, visits, atol=1e-5)
    np.testing.assert_allclose(found.policy, policy, atol=1e-5)
    # A constant more or less for every state changes nothing.
    offset = found.reward[:, 0] - reward
    np.testing.assert_allclose(offset, offset.mean(), atol=1e-3)


def test_demonstrations_that_no_reward_made_are_matched_too() -> None:
    mdp = random_mdp(1)
    rng = np.random.default_rng(1)
    odd = rng.dirichlet(np.ones(3), size=(mdp.horizon, 10))
    visits = expected_visits(mdp, odd)
    found = maximum_entropy(mdp, visits)
    np.testing.assert_allclose(found.visits.sum(axis=1), visits.sum(axis=1), atol=1e-5)


def test_an_independent_minimiser_finds_the_same() -> None:
    mdp = random_mdp(2, states=5, horizon=8)
    rng = np.random.default_rng(2)
    features = rng.normal(size=(5, 3, 4))
    policy, _ = soft_policy(mdp, features @ np.array([1.0, -0.5, 0.2, 0.8]))
    visits = expected_visits(mdp, policy)

    def dual(weights: np.ndarray) -> float:
        values = soft_policy(mdp, features @ weights)[1]
        return float(mdp.initial @ values - (visits * (features @ weights)).sum())

    exactly = {"xatol": 1e-8, "fatol": 1e-12, "maxiter": 4000}
    theirs = minimize(dual, np.zeros(4), method="Nelder-Mead", options=exactly)
    found = maximum_entropy(mdp, visits, features)
    np.testing.assert_allclose(found.weights, theirs.x, atol=1e-4)
    np.testing.assert_allclose(found.weights, [1.0, -0.5, 0.2, 0.8], atol=1e-4)


def test_one_step_has_a_closed_form() -> None:
    mdp = TabularMDP(np.ones((1, 4, 1)), np.ones(1), 1)
    chances = np.array([[0.1, 0.2, 0.3, 0.4]])
    found = maximum_entropy(mdp, chances, np.eye(4)[None])
    expected = np.log(chances[0])
    np.testing.assert_allclose(found.reward[0], expected - expected.mean(), atol=1e-5)


def test_what_does_not_fit_is_refused() -> None:
    mdp = random_mdp(0)
    with pytest.raises(ShapeError, match=r"expected \(10, 3\) that sum to 15, actual: \(10, 3\)"):
        maximum_entropy(mdp, np.ones((10, 3)))
    with pytest.raises(ShapeError, match=r"expected transitions \(9, actions, 9\)"):
        maximum_entropy(mdp._replace(initial=np.full(9, 1 / 9)), np.full((9, 3), 5 / 9))
    with pytest.raises(ShapeError, match="probabilities that sum to 1"):
        mdp._replace(transitions=mdp.transitions * 2).check()
    with pytest.raises(ShapeError, match="horizon of at least 1, actual: 0"):
        mdp._replace(horizon=0).check()


def test_visits_that_no_finite_reward_explains_are_told() -> None:
    # Always the first action, which features of states cannot tell from the others.
    go = np.zeros((2, 2, 2))
    go[0, 0, 0] = go[0, 1, 1] = go[1, :, 1] = 1
    mdp = TabularMDP(go, np.array([1.0, 0.0]), 5)
    visits = np.array([[5.0, 0.0], [0.0, 0.0]])
    with pytest.raises(ConfigurationError, match="a finite reward explains within 1e-12"):
        maximum_entropy(mdp, visits, tolerance=1e-12)
