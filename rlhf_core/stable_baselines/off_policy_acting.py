"""Policies of Stable-Baselines3's off-policy algorithms: behaviour cloning, and acting."""

from typing import Any

import numpy as np
import torch
from gymnasium import spaces as gym_spaces
from stable_baselines3 import DQN, SAC
from torch import Tensor, nn

from rlhf_core.acting import Act
from rlhf_core.cloning_settings import Cloning
from rlhf_core.environments.spaces import Spaces, flattened
from rlhf_core.policies import Cloned, PolicyState
from rlhf_core.seeding import isolated
from rlhf_core.stable_baselines.off_policy_state import (
    EXPLORATION,
    Algorithm,
    arrays,
    load,
    make_policy,
)


def clone(
    algorithm: Algorithm,
    hidden: tuple[int, ...],
    state: PolicyState,
    spaces: Spaces,
    cloning: Cloning,
    seed: int,
) -> Cloned:
    """Return the policy with its greedy actions trained on demonstrations."""
    from rlhf_core.cloning import clone_outputs

    with isolated(seed):
        policy: Any = make_policy(algorithm, spaces, hidden)
    load(policy, state.parameters)
    observations = flattened(spaces.observation, cloning.demonstrations.observations)
    inputs, _ = policy.obs_to_tensor(observations)
    learner: nn.Module
    if issubclass(algorithm.model, DQN):
        learner, target = policy.q_net, policy.q_net_target
    else:
        learner, target = policy.actor, getattr(policy, "actor_target", None)
    squashed = issubclass(algorithm.model, SAC)

    def outputs(rows: Tensor) -> Tensor:
        if squashed:
            return torch.tanh(policy.actor.get_action_dist_params(inputs[rows])[0])
        computed: Tensor = learner(inputs[rows])
        return computed

    policy.set_training_mode(True)
    metrics = clone_outputs(
        learner.parameters(), outputs, spaces.action, cloning, np.random.default_rng(seed)
    )
    if target is not None:
        target.load_state_dict(learner.state_dict())
    return Cloned(PolicyState(arrays(policy), state.optimizer_state, state.steps), metrics)


def act(
    algorithm: Algorithm,
    hidden: tuple[int, ...],
    state: PolicyState,
    spaces: Spaces,
    deterministic: bool,
    seed: int,
) -> Act:
    """Return the policy as a function of a batch of observations; actions are within bounds."""
    rng, space = np.random.default_rng(seed), spaces.action
    shape = space.shape or ()
    if not deterministic and not state.steps:

        def explore(observations: np.ndarray) -> np.ndarray:
            return _random(space, len(observations), rng)

        return explore
    with isolated(0):
        policy = make_policy(algorithm, spaces, hidden)
    load(policy, state.parameters)
    policy.set_training_mode(False)
    rate = 0.0
    if algorithm.exploration is not None and not deterministic:
        final = np.array(algorithm.exploration(1.0))
        rate = float(state.optimizer_state.get(EXPLORATION, final))

    def choose(observations: np.ndarray) -> np.ndarray:
        inputs, _ = policy.obs_to_tensor(flattened(spaces.observation, observations))
        with torch.no_grad(), isolated(int(rng.integers(2**31))):
            outputs = policy._predict(inputs, deterministic=deterministic)
        actions: np.ndarray = outputs.numpy().reshape(len(observations), *shape)
        if isinstance(space, gym_spaces.Box):
            if algorithm.noise_std and not deterministic:
                actions = actions + algorithm.noise_std * rng.standard_normal(actions.shape)
            actions = policy.unscale_action(np.clip(actions, -1, 1))
            actions = np.clip(actions, space.low, space.high)
        elif rate:
            random = rng.random(len(actions)) < rate
            actions = np.where(random, _random(space, len(actions), rng), actions)
        return actions.astype(space.dtype, copy=False)

    return choose


def _random(space: gym_spaces.Space[Any], count: int, rng: np.random.Generator) -> np.ndarray:
    """Draw actions uniformly."""
    if isinstance(space, gym_spaces.Box):
        drawn = rng.uniform(space.low, space.high, size=(count, *space.shape))
        return drawn.astype(space.dtype)
    assert isinstance(space, gym_spaces.Discrete), "check_spaces refuses other spaces"
    return rng.integers(space.n, size=count)
