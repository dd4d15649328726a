"""Stable-Baselines3's off-policy algorithms from arrays to arrays."""

import copy
import sys
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from gymnasium import spaces as gym_spaces
from stable_baselines3 import DQN, SAC, TD3
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.noise import NormalActionNoise
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
from stable_baselines3.common.policies import BasePolicy
from torch import Tensor, nn

from rlhf_core.acting import Act
from rlhf_core.demonstrations import Cloning
from rlhf_core.environments.factory import Environment
from rlhf_core.environments.spaces import Spaces, flat, flattened
from rlhf_core.policies import Optimised, PolicyState, Report
from rlhf_core.reservoir import RESERVOIR_STEPS, Reservoir
from rlhf_core.rewards import EnvironmentReward, Reward
from rlhf_core.seeding import integer, isolated
from rlhf_core.stable_baselines.on_policy import TRUE_SCALE
from rlhf_core.stable_baselines.replay_buffer import RelabelReplay, Replay
from rlhf_core.stable_baselines.vec_env import RecordingVecEnv
from rlhf_core.types import RolloutRewards, Rollouts

EXPLORATION, TEMPERATURE = "exploration_rate", "log_temperature"
UPDATES, CALLS = "updates", "calls"
"""Keys among what the optimiser remembers."""


@dataclass(frozen=True)
class Algorithm:
    """One of Stable-Baselines3's, and what is its own."""

    model: type[OffPolicyAlgorithm]
    arguments: Mapping[str, Any]
    deviation: float = 0.0
    """Of the noise on actions between -1 and 1, to explore."""
    exploration: Callable[[float], float] | None = None
    """Probability of a random action, by the share of the run's steps that is taken."""


class SeparateDQN(DQN):
    """DQN of which each copy of the environment explores by a draw of its own."""

    def predict(
        self,
        observation: np.ndarray | dict[str, np.ndarray],
        state: tuple[np.ndarray, ...] | None = None,
        episode_start: np.ndarray | None = None,
        deterministic: bool = False,
    ) -> tuple[np.ndarray, tuple[np.ndarray, ...] | None]:
        """Greedy actions, some of them replaced by random ones."""
        actions, state = self.policy.predict(observation, state, episode_start, deterministic)
        if not deterministic:
            random = np.random.rand(len(actions)) < self.exploration_rate
            choices = np.random.randint(self.policy.action_space.n, size=len(actions))  # type: ignore[attr-defined]
            actions = np.where(random, choices, actions)
        return actions, state


def make_policy(algorithm: Algorithm, spaces: Spaces, hidden: tuple[int, ...]) -> BasePolicy:
    """Untrained networks for these spaces."""
    build: Any = algorithm.model.policy_aliases["MlpPolicy"]
    policy: BasePolicy = build(
        flat(spaces.observation), spaces.action, lambda _: 0.0, net_arch=list(hidden)
    )
    return policy


def arrays(policy: BasePolicy) -> dict[str, np.ndarray]:
    """All weights, those of target networks included."""
    return {n: tensor.detach().numpy().copy() for n, tensor in policy.state_dict().items()}


def load(policy: BasePolicy, parameters: Mapping[str, np.ndarray]) -> None:
    """Put weights made by `arrays` back into a policy."""
    policy.load_state_dict({n: torch.tensor(np.asarray(a)) for n, a in parameters.items()})


def learn(
    algorithm: Algorithm,
    arguments: Mapping[str, Any],
    hidden: tuple[int, ...],
    learning_rate: Callable[[float], float],
    observe_steps: int,
    state: PolicyState,
    environment: Environment,
    reward: Reward,
    steps: int,
    total_steps: int,
    rng: np.random.Generator,
    report: Report,
) -> Optimised:
    """Train for `steps` environment steps. Draws from the global generators: see `isolated`."""
    vector = RecordingVecEnv(environment, rng, False)
    held = 0

    def done(remaining: float) -> float:
        """Share of the run's steps that is taken when this share of the model's own remains."""
        taken = max((1 - remaining) * (held + steps) - held, 0.0)
        return (state.steps + taken) / max(total_steps, 1)

    with warnings.catch_warnings():
        # A target network that is updated at every step, where there are as many copies: so be it.
        warnings.filterwarnings("ignore", message="The number of environments used is greater")
        model: OffPolicyAlgorithm = algorithm.model(
            "MlpPolicy",
            vector,
            learning_rate=lambda remaining: learning_rate(done(remaining)),
            replay_buffer_class=Replay,
            replay_buffer_kwargs={"own_space": environment.spaces().observation},
            policy_kwargs={"net_arch": list(hidden)},
            device="cpu",
            **algorithm.arguments,
            **arguments,
        )
    model.set_logger(Logger(folder=None, output_formats=[]))
    # Its random actions are drawn from the space, whose generator others may hold.
    model.action_space = copy.deepcopy(model.action_space)
    model.action_space.seed(integer(rng))
    if algorithm.deviation:
        shape = model.action_space.shape or ()
        model.action_noise = NormalActionNoise(np.zeros(shape), np.full(shape, algorithm.deviation))
    restore(model, state)
    replay, controlled = model.replay_buffer, isinstance(reward, EnvironmentReward)
    assert isinstance(replay, Replay)
    replay.recall(state.optimiser, controlled)
    # Warm-up counts what is remembered.
    model.num_timesteps = held = len(replay)
    if algorithm.exploration is not None:
        assert isinstance(model, DQN)
        explore = algorithm.exploration
        model.exploration_schedule = lambda remaining: explore(done(remaining))
        model.exploration_rate = explore(done(1.0))
    scale = state.optimiser.get(TRUE_SCALE)
    true_scale = None if scale is None else float(scale)
    kept = Reservoir(RESERVOIR_STEPS, state.steps, rng)
    relabel = RelabelReplay(reward, vector, replay, kept, true_scale, observe_steps, report, rng)
    model.learn(steps, callback=relabel, log_interval=sys.maxsize, reset_num_timesteps=False)
    vector.close()
    rollouts, rewards = kept.trajectories()
    remembered = memory(model) | replay.memory(controlled)
    if relabel.true_scale is not None:
        remembered[TRUE_SCALE] = np.array(relabel.true_scale)
    return Optimised(
        PolicyState(arrays(model.policy), remembered, state.steps + relabel.taken),
        rollouts,
        rewards,
        {**_proxy_metrics(relabel, rollouts, rewards, environment.horizon()), **_metrics(model)},
        relabel.reward,
    )


def _proxy_metrics(
    relabel: RelabelReplay, rollouts: Rollouts, rewards: RolloutRewards, horizon: int
) -> dict[str, float]:
    """How much the policy was paid by the reward of now, and how that rose."""
    paid = [
        relabel.labels(trajectory, true)
        for trajectory, true in zip(rollouts.trajectories, rewards.rewards, strict=True)
    ]
    ended = [
        trajectory.terminated or len(trajectory) >= horizon for trajectory in rollouts.trajectories
    ]
    sums = np.array([labels.sum() for labels in paid])
    # Rollouts are short: the first eighth of the episodes is compared with the last.
    part = max(1, len(paid) // 8)
    first, last = np.concatenate(paid[:part]), np.concatenate(paid[-part:])
    return {
        "proxy/return_mean": float(sums[ended].mean() if any(ended) else sums.mean()),
        "proxy/gain": float(last.mean() - first.mean()),
    }


def _metrics(model: OffPolicyAlgorithm) -> dict[str, float]:
    logged = model.logger.name_to_value
    found = {}
    for name in ("train/critic_loss", "train/loss"):
        if name in logged:
            found["policy/value_loss"] = float(logged[name])
    if "train/ent_coef" in logged:
        found["policy/temperature"] = float(logged["train/ent_coef"])
    if isinstance(model, DQN):
        found["policy/exploration_rate"] = float(model.exploration_rate)
    return found


def _descents(model: OffPolicyAlgorithm) -> dict[str, torch.optim.Optimizer]:
    """What moves the weights, by name."""
    if isinstance(model, DQN):
        return {"values": model.policy.optimizer}
    assert isinstance(model, (SAC, TD3))
    both: dict[str, torch.optim.Optimizer] = {
        "actor": model.actor.optimizer,
        "critic": model.critic.optimizer,
    }
    if isinstance(model, SAC) and model.ent_coef_optimizer is not None:
        both["temperature"] = model.ent_coef_optimizer
    return both


def memory(model: OffPolicyAlgorithm) -> dict[str, np.ndarray]:
    """Adam's moments, counters, and what else the algorithm goes on with."""
    found: dict[str, np.ndarray] = {UPDATES: np.array(model._n_updates)}
    for name, descent in _descents(model).items():
        for index, entries in descent.state_dict()["state"].items():
            for key, value in entries.items():
                found[f"{name}/{index}/{key}"] = value.numpy().copy()
    if isinstance(model, SAC) and model.log_ent_coef is not None:
        found[TEMPERATURE] = model.log_ent_coef.detach().numpy().copy()
    if isinstance(model, DQN):
        found[CALLS] = np.array(model._n_calls)
        found[EXPLORATION] = np.array(model.exploration_rate)
    return found


def restore(model: OffPolicyAlgorithm, state: PolicyState) -> None:
    """Put what `arrays` and `memory` wrote down back into a model."""
    load(model.policy, state.parameters)
    known = state.optimiser
    model._n_updates = int(known.get(UPDATES, np.array(0)))
    for name, descent in _descents(model).items():
        moments: dict[int, dict[str, Tensor]] = {}
        for place, value in known.items():
            owner, _, rest = place.partition("/")
            if owner == name:
                index, key = rest.split("/")
                moments.setdefault(int(index), {})[key] = torch.tensor(np.asarray(value))
        descent.load_state_dict({**descent.state_dict(), "state": moments})
    if isinstance(model, SAC) and model.log_ent_coef is not None and TEMPERATURE in known:
        model.log_ent_coef.data.copy_(torch.tensor(np.asarray(known[TEMPERATURE])))
    if isinstance(model, DQN):
        model._n_calls = int(known.get(CALLS, np.array(0)))


def clone(
    algorithm: Algorithm,
    hidden: tuple[int, ...],
    state: PolicyState,
    spaces: Spaces,
    cloning: Cloning,
    seed: int,
) -> PolicyState:
    """The policy with its first choice taught by demonstrations."""
    from rlhf_core.cloning import clone_outputs

    with isolated(seed):
        policy: Any = make_policy(algorithm, spaces, hidden)
    load(policy, state.parameters)
    seen, _ = policy.obs_to_tensor(flattened(spaces.observation, cloning.shown.observations))
    learner: nn.Module
    if issubclass(algorithm.model, DQN):
        learner, target = policy.q_net, policy.q_net_target
    else:
        learner, target = policy.actor, getattr(policy, "actor_target", None)
    squashed = issubclass(algorithm.model, SAC)

    def outputs(rows: Tensor) -> Tensor:
        if squashed:
            return torch.tanh(policy.actor.get_action_dist_params(seen[rows])[0])
        chosen: Tensor = learner(seen[rows])
        return chosen

    policy.set_training_mode(True)
    clone_outputs(
        learner.parameters(), outputs, spaces.action, cloning, np.random.default_rng(seed)
    )
    if target is not None:
        target.load_state_dict(learner.state_dict())
    return PolicyState(arrays(policy), state.optimiser, state.steps)


def act(
    algorithm: Algorithm,
    hidden: tuple[int, ...],
    state: PolicyState,
    spaces: Spaces,
    deterministic: bool,
    seed: int,
) -> Act:
    """The policy as a function of a batch of observations; actions are inside their bounds."""
    rng, space = np.random.default_rng(seed), spaces.action
    shape = space.shape or ()
    if not deterministic and not state.steps:

        def wander(observations: np.ndarray) -> np.ndarray:
            return _random(space, len(observations), rng)

        return wander
    with isolated(0):
        policy = make_policy(algorithm, spaces, hidden)
    load(policy, state.parameters)
    policy.set_training_mode(False)
    explore = algorithm.exploration
    rate = 0.0
    if explore is not None and not deterministic:
        rate = float(state.optimiser.get(EXPLORATION, np.array(explore(1.0))))

    def choose(observations: np.ndarray) -> np.ndarray:
        tensor, _ = policy.obs_to_tensor(flattened(spaces.observation, observations))
        with torch.no_grad(), isolated(int(rng.integers(2**31))):
            chosen = policy._predict(tensor, deterministic=deterministic)
        actions: np.ndarray = chosen.numpy().reshape(len(observations), *shape)
        if isinstance(space, gym_spaces.Box):
            if algorithm.deviation and not deterministic:
                actions = actions + algorithm.deviation * rng.standard_normal(actions.shape)
            actions = policy.unscale_action(np.clip(actions, -1, 1))
            actions = np.clip(actions, space.low, space.high)
        elif rate:
            random = rng.random(len(actions)) < rate
            actions = np.where(random, _random(space, len(actions), rng), actions)
        return actions.astype(space.dtype, copy=False)

    return choose


def _random(space: gym_spaces.Space[Any], count: int, rng: np.random.Generator) -> np.ndarray:
    """Uniformly random actions."""
    if isinstance(space, gym_spaces.Box):
        drawn = rng.uniform(space.low, space.high, size=(count, *space.shape))
        return drawn.astype(space.dtype)
    assert isinstance(space, gym_spaces.Discrete), "the others are refused"
    return rng.integers(space.n, size=count)
