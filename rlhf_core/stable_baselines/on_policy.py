"""Stable-Baselines3's on-policy algorithms from arrays to arrays."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from gymnasium import spaces as gym_spaces
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.policies import ActorCriticPolicy

from rlhf_core.acting import Act
from rlhf_core.demonstrations import Cloning
from rlhf_core.environments.factory import Environment
from rlhf_core.environments.spaces import Spaces, flat, flattened, within
from rlhf_core.fused.engine import Engine
from rlhf_core.policies import Optimised, PolicyState, Report
from rlhf_core.rewards import Reward
from rlhf_core.seeding import isolated
from rlhf_core.stable_baselines.normalisation import Normalised
from rlhf_core.stable_baselines.relabelling import Relabel, plain_critic
from rlhf_core.stable_baselines.vec_env import RecordingVecEnv

Weights = dict[str, np.ndarray]
ALIASES = ("pi_features_extractor.", "vf_features_extractor.")
"""Other names of Stable-Baselines3 for the extractor that actor and critic share."""
LOGGED = {
    "train/entropy_loss": ("policy/entropy", -1.0),
    "train/approx_kl": ("policy/kl", 1.0),
    "train/kl_divergence_loss": ("policy/kl", 1.0),
    "train/explained_variance": ("policy/value_explained_variance", 1.0),
}
"""What Stable-Baselines3 logs: the metric that it is, and a factor."""
TRUE_SCALE = "true_reward_scale"
"""Key among what the optimiser remembers: the scale of the true-reward control."""


@dataclass(frozen=True)
class Network:
    """What a policy's network looks like."""

    hidden: tuple[int, ...]
    normalise: bool = False
    deviation: float = 1.0
    memory: int | None = None
    """Width of the LSTM in front of the hidden layers, where there is one."""

    def arguments(self, spaces: Spaces) -> dict[str, Any]:
        """What Stable-Baselines3 builds it from; categories it makes one-hot by itself."""
        numbers = isinstance(flat(spaces.observation), (gym_spaces.Box, gym_spaces.MultiBinary))
        return {
            "net_arch": {"pi": list(self.hidden), "vf": list(self.hidden)},
            "log_std_init": math.log(self.deviation),
            **({"lstm_hidden_size": self.memory} if self.memory else {}),
            **({"features_extractor_class": Normalised} if self.normalise and numbers else {}),
        }


def make_policy(spaces: Spaces, network: Network, learning_rate: float) -> ActorCriticPolicy:
    """An untrained actor-critic network for these spaces."""
    kind: type[ActorCriticPolicy] = ActorCriticPolicy
    if network.memory:
        from sb3_contrib.common.recurrent.policies import RecurrentActorCriticPolicy

        kind = RecurrentActorCriticPolicy
    return kind(
        flat(spaces.observation),
        spaces.action,
        lambda _: learning_rate,
        **network.arguments(spaces),
    )


def weights(policy: ActorCriticPolicy) -> tuple[Weights, Weights]:
    """Parameters and Adam's moments as arrays, by the parameter's name."""
    parameters = {
        name: tensor.detach().cpu().numpy().copy()
        for name, tensor in policy.state_dict().items()
        if not name.startswith(ALIASES)
    }
    memory: Weights = {}
    for name, parameter in policy.named_parameters():
        for key, value in policy.optimizer.state.get(parameter, {}).items():
            memory[f"{name}/{key}"] = value.detach().cpu().numpy().copy()
    return parameters, memory


def load(policy: ActorCriticPolicy, parameters: Mapping[str, np.ndarray]) -> None:
    """Put parameters made by `weights` back into a policy."""
    tensors = {name: torch.tensor(np.asarray(array)) for name, array in parameters.items()}
    shared = [name for name in tensors if name.startswith("features_extractor.")]
    tensors |= {alias + name[len("features_extractor.") :]: tensors[name]
                for alias in ALIASES for name in shared}  # fmt: skip
    policy.load_state_dict(tensors)


def restore(policy: ActorCriticPolicy, state: PolicyState) -> None:
    """Put arrays made by `weights` back into a policy."""
    load(policy, state.parameters)
    for name, parameter in policy.named_parameters():
        prefix = f"{name}/"
        memory = {
            key.removeprefix(prefix): torch.tensor(np.asarray(value))
            for key, value in state.optimiser.items()
            if key.startswith(prefix)
        }
        if memory:
            policy.optimizer.state[parameter] = memory


def learn(
    algorithm: type[OnPolicyAlgorithm],
    arguments: Mapping[str, Any],
    network: Network,
    state: PolicyState,
    environment: Environment,
    reward: Reward,
    steps: int,
    rng: np.random.Generator,
    normalise_returns: bool,
    stagger: bool,
    report: Report,
) -> Optimised:
    """Train for `steps` environment steps. Draws from the global generators: see `isolated`."""
    vector = RecordingVecEnv(environment, rng, stagger)
    shape = network.arguments(environment.spaces())
    policy, critic = "MlpPolicy", plain_critic()
    if network.memory:
        from rlhf_core.stable_baselines.recurrent import recurrent_critic

        policy, critic = "MlpLstmPolicy", recurrent_critic()
    model = algorithm(policy, vector, policy_kwargs=shape, device="cpu", **arguments)
    # Stable-Baselines3's own choice of logger leaves an empty folder behind at every call.
    model.set_logger(Logger(folder=None, output_formats=[]))
    restore(model.policy, state)
    scale = state.optimiser.get(TRUE_SCALE)
    true_scale = None if scale is None else float(scale)
    relabel = Relabel(
        reward, vector, report, true_scale, normalise_returns, critic, rng, state.steps
    )
    model.learn(steps, callback=relabel)
    vector.close()
    rollouts, rewards = relabel.kept.trajectories()
    metrics = {
        "proxy/return_mean": relabel.returns.mean(),
        "proxy/gain": relabel.means[-1] - relabel.means[0],
    }
    logged = model.logger.name_to_value
    for source, (name, factor) in LOGGED.items():
        if source in logged:
            metrics[name] = factor * float(logged[source])
    parameters, memory = weights(model.policy)
    if relabel.true_scale is not None:
        memory[TRUE_SCALE] = np.array(relabel.true_scale)
    return Optimised(
        PolicyState(parameters, memory, state.steps + relabel.taken),
        rollouts,
        rewards,
        metrics,
        relabel.reward,
    )


def clone(
    state: PolicyState, spaces: Spaces, network: Network, cloning: Cloning, seed: int
) -> PolicyState:
    """The policy with its actor taught by demonstrations."""
    from rlhf_core.cloning import clone_actor

    with isolated(seed):
        policy = make_policy(spaces, network, 0.0)
    restore(policy, state)
    shown = flattened(spaces.observation, cloning.shown.observations)
    if isinstance(policy.features_extractor, Normalised) and not float(
        policy.features_extractor.count
    ):
        policy.features_extractor.update(torch.from_numpy(shown))
    if network.memory:
        from rlhf_core.stable_baselines.recurrent import clone_actor as clone_recurrent

        clone_recurrent(policy, shown, cloning, np.random.default_rng(seed))
    else:
        clone_actor(policy, shown, cloning, np.random.default_rng(seed))
    parameters, memory = weights(policy)
    kept = {name: state.optimiser[name] for name in state.optimiser if name == TRUE_SCALE}
    return PolicyState(parameters, memory | kept, state.steps)


def act(
    state: PolicyState, spaces: Spaces, network: Network, deterministic: bool, seed: int
) -> Act:
    """The policy as a function of a batch of observations; actions are inside their bounds."""
    with isolated(0):
        policy = make_policy(spaces, network, 0.0)
    load(policy, state.parameters)
    policy.set_training_mode(False)
    rng = np.random.default_rng(seed)
    if network.memory:
        from rlhf_core.stable_baselines.recurrent import RecurrentAct

        return RecurrentAct(policy, spaces, deterministic, rng)

    engine = Engine.of(policy)

    def predict(observations: np.ndarray) -> np.ndarray:
        if engine is not None:
            return engine.act(observations, deterministic)
        with torch.no_grad():
            tensor, _ = policy.obs_to_tensor(observations)
            return policy._predict(tensor, deterministic).cpu().numpy()

    def choose(observations: np.ndarray) -> np.ndarray:
        features = flattened(spaces.observation, observations)
        if deterministic:
            return within(spaces, predict(features))
        with isolated(int(rng.integers(2**31))):
            return within(spaces, predict(features))

    return choose
