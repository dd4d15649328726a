"""Training and acting of Stable-Baselines3's on-policy algorithms, from arrays to arrays."""

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
from rlhf_core.cloning_settings import Cloning
from rlhf_core.environments.factory import Environment
from rlhf_core.environments.spaces import Spaces, flat, flattened, within
from rlhf_core.fused.engine import Engine
from rlhf_core.policies import Cloned, Optimised, PolicyState, Report
from rlhf_core.rewards import Reward
from rlhf_core.rewards.absorbing import ACTIONS, OBSERVATIONS, from_arrays, to_arrays
from rlhf_core.seeding import isolated
from rlhf_core.stable_baselines.normalisation import Normalised
from rlhf_core.stable_baselines.relabelling import OnPolicyRelabelling, feedforward_critic
from rlhf_core.stable_baselines.vec_env import RecordingVecEnv

Weights = dict[str, np.ndarray]
ALIASES = ("pi_features_extractor.", "vf_features_extractor.")
"""Stable-Baselines3's further names of the extractor that actor and critic share."""
EXPLAINED_VARIANCE = "train/explained_variance"
LOGGED = {
    "train/entropy_loss": ("policy/entropy", -1.0),
    "train/approx_kl": ("policy/kl", 1.0),
    "train/kl_divergence_loss": ("policy/kl", 1.0),
    EXPLAINED_VARIANCE: ("policy/value_explained_variance", 1.0),
}
"""Of each name in Stable-Baselines3's log: the metric, and a factor."""
TRUE_SCALE = "true_reward_scale"
"""Key of `PolicyState.optimizer_state`: the scale of the true reward, for the control."""


@dataclass(frozen=True)
class Network:
    """Architecture of a policy."""

    hidden: tuple[int, ...]
    """Widths of the hidden layers of actor and critic."""
    normalise: bool = False
    """Whether observations are normalised by running moments."""
    initial_std: float = 1.0
    """Standard deviation of continuous actions in the untrained policy."""
    lstm_size: int | None = None
    """Width of the LSTM in front of the hidden layers; None: no LSTM."""

    def arguments(self, spaces: Spaces) -> dict[str, Any]:
        """Return Stable-Baselines3's arguments; it encodes categories one-hot itself."""
        numbers = isinstance(flat(spaces.observation), (gym_spaces.Box, gym_spaces.MultiBinary))
        return {
            "net_arch": {"pi": list(self.hidden), "vf": list(self.hidden)},
            "log_std_init": math.log(self.initial_std),
            **({"lstm_hidden_size": self.lstm_size} if self.lstm_size else {}),
            **({"features_extractor_class": Normalised} if self.normalise and numbers else {}),
        }


def make_policy(spaces: Spaces, network: Network, learning_rate: float) -> ActorCriticPolicy:
    """Return an untrained actor-critic network for these spaces."""
    kind: type[ActorCriticPolicy] = ActorCriticPolicy
    if network.lstm_size:
        from sb3_contrib.common.recurrent.policies import RecurrentActorCriticPolicy

        kind = RecurrentActorCriticPolicy
    return kind(
        flat(spaces.observation),
        spaces.action,
        lambda _: learning_rate,
        **network.arguments(spaces),
    )


def weights(policy: ActorCriticPolicy) -> tuple[Weights, Weights]:
    """Return parameters, and the moments of the optimiser, by the parameter's name."""
    parameters = {
        name: tensor.detach().cpu().numpy().copy()
        for name, tensor in policy.state_dict().items()
        if not name.startswith(ALIASES)
    }
    moments: Weights = {}
    for name, parameter in policy.named_parameters():
        for key, value in policy.optimizer.state.get(parameter, {}).items():
            moments[f"{name}/{key}"] = value.detach().cpu().numpy().copy()
    return parameters, moments


def load(policy: ActorCriticPolicy, parameters: Mapping[str, np.ndarray]) -> None:
    """Load parameters from `weights` into a policy."""
    tensors = {name: torch.tensor(np.asarray(array)) for name, array in parameters.items()}
    shared = [name for name in tensors if name.startswith("features_extractor.")]
    tensors |= {alias + name[len("features_extractor.") :]: tensors[name]
                for alias in ALIASES for name in shared}  # fmt: skip
    policy.load_state_dict(tensors)


def restore(policy: ActorCriticPolicy, state: PolicyState) -> None:
    """Load parameters and moments from `weights` into a policy."""
    load(policy, state.parameters)
    for name, parameter in policy.named_parameters():
        prefix = f"{name}/"
        moments = {
            key.removeprefix(prefix): torch.tensor(np.asarray(value))
            for key, value in state.optimizer_state.items()
            if key.startswith(prefix)
        }
        if moments:
            policy.optimizer.state[parameter] = moments


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
    """Train for `steps` environment steps; the caller isolates the global generators."""
    vector = RecordingVecEnv(environment, rng, stagger)
    shape = network.arguments(environment.spaces())
    policy, critic = "MlpPolicy", feedforward_critic()
    if network.lstm_size:
        from rlhf_core.stable_baselines.recurrent import recurrent_critic

        policy, critic = "MlpLstmPolicy", recurrent_critic()
    model = algorithm(policy, vector, policy_kwargs=shape, device="cpu", **arguments)
    # Stable-Baselines3's own choice of logger leaves an empty folder behind at every call.
    model.set_logger(Logger(folder=None, output_formats=[]))
    restore(model.policy, state)
    if environment.counts_absorbing_steps and not state.optimizer_state:
        _zero_values(model.policy)
    scale = state.optimizer_state.get(TRUE_SCALE)
    true_scale = None if scale is None else float(scale)
    relabelling = OnPolicyRelabelling(
        reward, vector, report, true_scale, normalise_returns, critic, rng, state.steps,
        from_arrays(state.optimizer_state),
    )  # fmt: skip
    try:
        model.learn(steps, callback=relabelling)
    finally:
        vector.close()
    rollouts, rewards = relabelling.reservoir.trajectories()
    metrics = {
        "proxy/return_mean": relabelling.returns.mean(),
        "proxy/gain": relabelling.means[-1] - relabelling.means[0],
    }
    logged = model.logger.name_to_value
    for source, (name, factor) in LOGGED.items():
        # Explained variance is undefined where all returns are equal, as a constant reward's are.
        undefined = source == EXPLAINED_VARIANCE and np.isnan(logged.get(source, 0.0))
        if source in logged and not undefined:
            metrics[name] = factor * float(logged[source])
    parameters, optimizer_state = weights(model.policy)
    optimizer_state |= to_arrays(relabelling.absorbing.ends)
    if relabelling.true_scale is not None:
        optimizer_state[TRUE_SCALE] = np.array(relabelling.true_scale)
    return Optimised(
        PolicyState(parameters, optimizer_state, state.steps + relabelling.steps),
        rollouts,
        rewards,
        metrics,
        relabelling.reward,
    )


def _zero_values(policy: ActorCriticPolicy) -> None:
    """Let the untrained value function be 0 everywhere.

    The value of an early end is exact. Beside it the values of an untrained network, of either
    sign, would make early ends look bad or good whatever the reward is.
    """
    with torch.no_grad():
        for parameter in policy.value_net.parameters():
            parameter.zero_()


def clone(
    state: PolicyState, spaces: Spaces, network: Network, cloning: Cloning, seed: int
) -> Cloned:
    """Return the policy with its actor trained on demonstrations."""
    from rlhf_core.cloning import clone_actor

    with isolated(seed):
        policy = make_policy(spaces, network, 0.0)
    restore(policy, state)
    observations = flattened(spaces.observation, cloning.demonstrations.observations)
    if isinstance(policy.features_extractor, Normalised) and not float(
        policy.features_extractor.count
    ):
        policy.features_extractor.update(torch.from_numpy(observations))
    if network.lstm_size:
        from rlhf_core.stable_baselines.recurrent import clone_actor as clone_recurrent

        metrics = clone_recurrent(policy, observations, cloning, np.random.default_rng(seed))
    else:
        metrics = clone_actor(policy, observations, cloning, np.random.default_rng(seed))
    parameters, moments = weights(policy)
    others = (TRUE_SCALE, ACTIONS, OBSERVATIONS)
    kept = {name: array for name, array in state.optimizer_state.items() if name in others}
    return Cloned(PolicyState(parameters, moments | kept, state.steps), metrics)


def act(
    state: PolicyState, spaces: Spaces, network: Network, deterministic: bool, seed: int
) -> Act:
    """Return the policy as a function of a batch of observations; actions are within bounds."""
    with isolated(0):
        policy = make_policy(spaces, network, 0.0)
    load(policy, state.parameters)
    policy.set_training_mode(False)
    rng = np.random.default_rng(seed)
    if network.lstm_size:
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
