"""A policy acts inside its space, as Stable-Baselines3 would, from draws of its own."""

import numpy as np
import pytest
import torch

from rlhf_core.environments.spaces import Spaces, build, describe
from rlhf_core.optimisers.ppo import PPO
from rlhf_core.policies import PolicyState
from rlhf_core.stable_baselines.on_policy import Network, make_policy, restore
from tests.core.environments import ACTIONS, OBSERVATIONS

SMALL = PPO(hidden=(6,))
ACTING = ["box", "box_2d", "discrete", "multi_discrete", "multi_binary"]


def acting(kind: str, scale: float = 1.0) -> tuple[PolicyState, Spaces]:
    """A fresh policy with its weights blown up, so that its actions leave their bounds."""
    spaces = Spaces(OBSERVATIONS["box"], ACTIONS[kind])
    state = SMALL.initial(spaces, 0)
    blown = {name: scale * array for name, array in state.parameters.items()}
    return PolicyState(blown, {}), spaces


SEEN = np.random.default_rng(0).uniform(0, 6, (20, 2)).astype(np.float32)


@pytest.mark.parametrize("kind", ACTING)
@pytest.mark.parametrize("deterministic", [True, False])
def test_every_action_is_one_of_the_space(kind: str, deterministic: bool) -> None:
    state, spaces = acting(kind, scale=50)
    actions = SMALL.act(state, spaces, deterministic)(SEEN)
    assert actions.shape == (20, *(spaces.action.shape or ()))
    assert actions.dtype == spaces.action.dtype
    assert all(spaces.action.contains(action) for action in actions)


@pytest.mark.parametrize("kind", ACTING)
def test_the_most_likely_action_is_that_of_stable_baselines(kind: str) -> None:
    state, spaces = acting(kind, scale=2)
    policy = make_policy(spaces, Network((6,)), 0.0)
    restore(policy, state)
    expected, _ = policy.predict(SEEN, deterministic=True)
    act = SMALL.act(state, spaces, deterministic=True)
    # Its arithmetic is ours where the policy is a plain one: equal but for rounding.
    np.testing.assert_allclose(act(SEEN), expected, rtol=1e-5, atol=1e-8)
    np.testing.assert_array_equal(act(SEEN), act(SEEN))
    np.testing.assert_allclose(act(SEEN[:1]), expected[:1], atol=1e-6)


@pytest.mark.parametrize("kind", ACTING)
def test_random_actions_come_from_a_generator_of_their_own(kind: str) -> None:
    state, spaces = acting(kind)
    before = torch.random.get_rng_state()
    first, again, other = (SMALL.act(state, spaces, False, seed) for seed in (1, 1, 2))
    drawn = np.stack([first(SEEN), first(SEEN)])
    np.testing.assert_array_equal(drawn, np.stack([again(SEEN), again(SEEN)]))
    assert not np.array_equal(drawn[0], drawn[1])
    assert not np.array_equal(drawn[0], other(SEEN))
    assert torch.equal(before, torch.random.get_rng_state())


@pytest.mark.parametrize("kind", ACTING)
def test_a_policy_acts_where_its_environment_is_not_installed(kind: str) -> None:
    state, spaces = acting(kind)
    elsewhere = Spaces(*(build(describe(space)) for space in spaces))
    np.testing.assert_array_equal(
        SMALL.act(state, elsewhere, True)(SEEN), SMALL.act(state, spaces, True)(SEEN)
    )
