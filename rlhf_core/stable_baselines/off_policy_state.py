"""Stable-Baselines3's off-policy algorithms, and their models as arrays."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from stable_baselines3 import DQN, SAC, TD3
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
from stable_baselines3.common.policies import BasePolicy
from torch import Tensor

from rlhf_core.environments.spaces import Spaces, flat
from rlhf_core.policies import PolicyState

EXPLORATION, TEMPERATURE = "exploration_rate", "log_temperature"
UPDATES, CALLS = "updates", "calls"
"""Keys of `PolicyState.optimizer_state`."""


@dataclass(frozen=True)
class Algorithm:
    """An algorithm of Stable-Baselines3, and the settings that the others lack."""

    model: type[OffPolicyAlgorithm]
    arguments: Mapping[str, Any]
    noise_std: float = 0.0
    """Standard deviation of the exploration noise on actions scaled to [-1, 1]."""
    exploration: Callable[[float], float] | None = None
    """Probability of a random action, by the fraction of the run's steps that are done."""


class SeparateDQN(DQN):
    """DQN whose copies of the environment draw their random actions independently."""

    def predict(
        self,
        observation: np.ndarray | dict[str, np.ndarray],
        state: tuple[np.ndarray, ...] | None = None,
        episode_start: np.ndarray | None = None,
        deterministic: bool = False,
    ) -> tuple[np.ndarray, tuple[np.ndarray, ...] | None]:
        """Return greedy actions, each replaced by a random one with the exploration rate."""
        actions, state = self.policy.predict(observation, state, episode_start, deterministic)
        if not deterministic:
            random = np.random.rand(len(actions)) < self.exploration_rate
            choices = np.random.randint(self.policy.action_space.n, size=len(actions))  # type: ignore[attr-defined]
            actions = np.where(random, choices, actions)
        return actions, state


def make_policy(algorithm: Algorithm, spaces: Spaces, hidden: tuple[int, ...]) -> BasePolicy:
    """Return untrained networks for these spaces."""
    build: Any = algorithm.model.policy_aliases["MlpPolicy"]
    policy: BasePolicy = build(
        flat(spaces.observation), spaces.action, lambda _: 0.0, net_arch=list(hidden)
    )
    return policy


def arrays(policy: BasePolicy) -> dict[str, np.ndarray]:
    """Return all weights, those of target networks included."""
    return {n: tensor.detach().numpy().copy() for n, tensor in policy.state_dict().items()}


def load(policy: BasePolicy, parameters: Mapping[str, np.ndarray]) -> None:
    """Load weights from `arrays` into a policy."""
    policy.load_state_dict({n: torch.tensor(np.asarray(a)) for n, a in parameters.items()})


def optimizer_state(model: OffPolicyAlgorithm) -> dict[str, np.ndarray]:
    """Return Adam's moments, counters, temperature and exploration rate."""
    state: dict[str, np.ndarray] = {UPDATES: np.array(model._n_updates)}
    for name, optimizer in _optimizers(model).items():
        for index, entries in optimizer.state_dict()["state"].items():
            for key, value in entries.items():
                state[f"{name}/{index}/{key}"] = value.numpy().copy()
    if isinstance(model, SAC) and model.log_ent_coef is not None:
        state[TEMPERATURE] = model.log_ent_coef.detach().numpy().copy()
    if isinstance(model, DQN):
        state[CALLS] = np.array(model._n_calls)
        state[EXPLORATION] = np.array(model.exploration_rate)
    return state


def restore(model: OffPolicyAlgorithm, state: PolicyState) -> None:
    """Load weights and optimiser state from `arrays` and `optimizer_state` into a model."""
    load(model.policy, state.parameters)
    stored = state.optimizer_state
    model._n_updates = int(stored.get(UPDATES, np.array(0)))
    for name, optimizer in _optimizers(model).items():
        moments: dict[int, dict[str, Tensor]] = {}
        for path, value in stored.items():
            owner, _, rest = path.partition("/")
            if owner == name:
                index, key = rest.split("/")
                moments.setdefault(int(index), {})[key] = torch.tensor(np.asarray(value))
        optimizer.load_state_dict({**optimizer.state_dict(), "state": moments})
    if isinstance(model, SAC) and model.log_ent_coef is not None and TEMPERATURE in stored:
        model.log_ent_coef.data.copy_(torch.tensor(np.asarray(stored[TEMPERATURE])))
    if isinstance(model, DQN):
        model._n_calls = int(stored.get(CALLS, np.array(0)))


def _optimizers(model: OffPolicyAlgorithm) -> dict[str, torch.optim.Optimizer]:
    """Return torch's optimisers of a model by name."""
    if isinstance(model, DQN):
        return {"values": model.policy.optimizer}
    assert isinstance(model, (SAC, TD3))
    optimizers: dict[str, torch.optim.Optimizer] = {
        "actor": model.actor.optimizer,
        "critic": model.critic.optimizer,
    }
    if isinstance(model, SAC) and model.ent_coef_optimizer is not None:
        optimizers["temperature"] = model.ent_coef_optimizer
    return optimizers
