"""Everything that touches Stable-Baselines3's insides, for its on-policy algorithms."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import gymnasium
import numpy as np
import torch
from gymnasium import spaces as gym_spaces
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.vec_env import VecEnv
from stable_baselines3.common.vec_env.base_vec_env import VecEnvStepReturn

from rlhf_core.environments.factory import Environment, Spaces, episode_seeds
from rlhf_core.environments.spaces import flat, flattened
from rlhf_core.optimisers import Optimised, PolicyState, Report
from rlhf_core.optimisers._normalised import Normalised
from rlhf_core.rewards import EnvironmentReward, Reward
from rlhf_core.rollouts import Act, Record, Recorder, join, trajectories
from rlhf_core.seeding import isolated

Weights = dict[str, np.ndarray]
ALIASES = ("pi_features_extractor.", "vf_features_extractor.")
"""Other names of Stable-Baselines3 for the extractor that actor and critic share."""
TRUE_SCALE = "true_reward_scale"
"""Key among what the optimiser remembers: the scale of the true-reward control."""
SMALLEST = 1e-6
"""A deviation of returns below it is that of a constant: nothing to divide by."""


@dataclass(frozen=True)
class Network:
    """What a policy's network looks like."""

    hidden: tuple[int, ...]
    normalise: bool = False
    deviation: float = 1.0

    def arguments(self, spaces: Spaces) -> dict[str, Any]:
        """What Stable-Baselines3 builds it from; categories it makes one-hot by itself."""
        numbers = isinstance(flat(spaces.observation), (gym_spaces.Box, gym_spaces.MultiBinary))
        return {
            "net_arch": {"pi": list(self.hidden), "vf": list(self.hidden)},
            "log_std_init": math.log(self.deviation),
            **({"features_extractor_class": Normalised} if self.normalise and numbers else {}),
        }


def make_policy(spaces: Spaces, network: Network, learning_rate: float) -> ActorCriticPolicy:
    """An untrained actor-critic network for these spaces."""
    return ActorCriticPolicy(
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


class RecordingVecEnv(VecEnv):
    """A Gymnasium vector environment as Stable-Baselines3 wants it, with the rewards withheld.

    Rewards shown to the learner are 0 and no time limit is announced: `Relabel` puts both right
    once the rollout is complete, from the record.
    """

    render_mode: str | None = None

    def __init__(self, environment: Environment, rng: np.random.Generator) -> None:
        self.recorder = Recorder(environment.make_vector())
        vector = self.recorder.environment
        super().__init__(
            environment.count, flat(vector.single_observation_space), vector.single_action_space
        )
        self._own_space = vector.single_observation_space
        self._rng = rng
        self._nothing = np.zeros(self.num_envs, dtype=np.float32)
        self._infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        self._actions = np.empty(0)

    def reset(self) -> np.ndarray:
        return self.shown(self.recorder.reset(episode_seeds(self._rng, self.num_envs)))

    def shown(self, observations: np.ndarray) -> np.ndarray:
        """Observations as the policy reads them."""
        return flattened(self._own_space, observations)

    def step_async(self, actions: np.ndarray) -> None:
        # MultiBinary actions leave the network as floats.
        self._actions = actions.astype(self.action_space.dtype, copy=False)

    def step_wait(self) -> VecEnvStepReturn:
        done = self.recorder.step(self._actions)
        return self.shown(self.recorder.observation), self._nothing, done, self._infos

    def close(self) -> None:
        self.recorder.environment.close()

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        return [getattr(self, attr_name)] * self.num_envs

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        raise NotImplementedError("the environments of a run are not changed while it trains")

    def env_method(self, method_name: str, *args: Any, indices: Any = None, **kw: Any) -> list[Any]:
        raise NotImplementedError("the environments of a run are not called while it trains")

    def env_is_wrapped(
        self, wrapper_class: type[gymnasium.Wrapper[Any, Any, Any, Any]], indices: Any = None
    ) -> list[bool]:
        return [False] * self.num_envs


class Relabel(BaseCallback):
    """When a rollout is complete: label it with the reward in one batch, as if SB3 had seen it.

    Stable-Baselines3 adds discount x value(final observation) to the reward of a step at which a
    time limit cut the episode off; so does this, in one batch.
    """

    def __init__(
        self,
        reward: Reward,
        environment: RecordingVecEnv,
        report: Report,
        true_scale: float | None,
        normalise_returns: bool,
    ) -> None:
        super().__init__()
        self.reward = reward
        self.environment = environment
        self.records: list[Record] = []
        self.proxies: list[np.ndarray] = []
        self._report = report
        self.true_scale = true_scale
        self._normalise_returns = normalise_returns
        self._discounted: list[tuple[np.ndarray, np.ndarray]] = []

    def _on_step(self) -> bool:
        return True

    def _on_rollout_start(self) -> None:
        if self.records:
            self._observe(self.records[-1])

    def _on_training_end(self) -> None:
        self._observe(self.records[-1])

    def _observe(self, record: Record) -> None:
        """Normalise by this rollout from now on, when nothing is left to learn from it."""
        extractor = self.model.policy.features_extractor
        if isinstance(extractor, Normalised):
            shown = self.environment.shown(_all_steps(record.observations))
            extractor.observe(torch.from_numpy(shown))

    def _on_rollout_end(self) -> None:
        record = self.environment.recorder.take()
        labels = self._labels(record)
        self.records.append(record)
        self.proxies.append(labels)
        model = self.model
        assert isinstance(model, PPO)
        cut = record.truncated & ~record.terminated
        bootstrapped = labels.copy()
        if self._normalise_returns:
            bootstrapped /= self._deviation(labels, record)
        if cut.any():
            final, _ = model.policy.obs_to_tensor(
                self.environment.shown(record.next_observations[cut])
            )
            with torch.no_grad():
                values = model.policy.predict_values(final)
            bootstrapped[cut] += model.gamma * values.cpu().numpy().ravel()
        buffer = model.rollout_buffer
        buffer.rewards[:] = bootstrapped
        buffer.compute_returns_and_advantage(
            last_values=self.locals["values"], dones=self.locals["dones"]
        )
        self._report(record.rewards.size)

    def _deviation(self, labels: np.ndarray, record: Record) -> np.float32:
        """Standard deviation of discounted returns over this call's rollouts so far."""
        assert isinstance(self.model, PPO)
        before = self._discounted[-1][1] if self._discounted else np.zeros(labels.shape[1])
        ended = record.terminated | record.truncated
        self._discounted.append(_discounted(labels, ended, self.model.gamma, before))
        spread = np.concatenate([sums for sums, _ in self._discounted]).std()
        return np.float32(spread if spread > SMALLEST else 1.0)

    def _labels(self, record: Record) -> np.ndarray:
        if isinstance(self.reward, EnvironmentReward):
            # Learned rewards come on a scale of 1; the control gets the same, once and for all on
            # the first rollout that pays. Not shifted: that would change what an end is worth.
            if self.true_scale is None:
                self.true_scale = float(np.sqrt(np.square(record.rewards).mean())) or None
            return (record.rewards / (self.true_scale or 1.0)).astype(np.float32)
        labels = self.reward(
            _all_steps(record.observations),
            _all_steps(record.actions),
            _all_steps(record.next_observations),
            _all_steps(record.terminated),
        )
        return labels.reshape(record.rewards.shape)


def _discounted(
    rewards: np.ndarray, ended: np.ndarray, discount: float, before: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """R_t = r_t + discount R_(t-1) within each episode (T, copies), and what the next step adds to.

    Args:
        rewards: (T, copies).
        ended: (T, copies), whether the episode ended with a step.
        discount: of one step.
        before: (copies,), R_(-1).
    """
    sums = np.empty(rewards.shape)
    for step, values in enumerate(rewards):
        sums[step] = values + discount * before
        before = np.where(ended[step], 0.0, sums[step])
    return sums, before


def _all_steps(array: np.ndarray) -> np.ndarray:
    """An array (T, copies, ...) as (T x copies, ...)."""
    return array.reshape(-1, *array.shape[2:])


def learn(
    state: PolicyState,
    environment: Environment,
    reward: Reward,
    steps: int,
    rng: np.random.Generator,
    network: Network,
    arguments: Mapping[str, Any],
    normalise_returns: bool,
    report: Report,
) -> Optimised:
    """Train for `steps` environment steps. Draws from the global generators: see `isolated`."""
    vector = RecordingVecEnv(environment, rng)
    shape = network.arguments(environment.spaces())
    model = PPO("MlpPolicy", vector, policy_kwargs=shape, device="cpu", **arguments)
    # Stable-Baselines3's own choice of logger leaves an empty folder behind at every call.
    model.set_logger(Logger(folder=None, output_formats=[]))
    restore(model.policy, state)
    scale = state.optimiser.get(TRUE_SCALE)
    true_scale = None if scale is None else float(scale)
    relabel = Relabel(reward, vector, report, true_scale, normalise_returns)
    model.learn(steps, callback=relabel)
    vector.close()
    record = join(relabel.records)
    rollouts, rewards = trajectories(record, policy_version=state.steps)
    logged = model.logger.name_to_value
    metrics = {
        "proxy/return_mean": _return_mean(replace(record, rewards=np.concatenate(relabel.proxies))),
        "proxy/gain": float(relabel.proxies[-1].mean() - relabel.proxies[0].mean()),
        "policy/entropy": -float(logged["train/entropy_loss"]),
        "policy/kl": float(logged["train/approx_kl"]),
        "policy/value_explained_variance": float(logged["train/explained_variance"]),
    }
    parameters, memory = weights(model.policy)
    if relabel.true_scale is not None:
        memory[TRUE_SCALE] = np.array(relabel.true_scale)
    return Optimised(
        PolicyState(parameters, memory, state.steps + record.rewards.size),
        rollouts,
        rewards,
        metrics,
    )


def _return_mean(record: Record) -> float:
    """Mean sum of rewards of the episodes that ended, or of all parts where none did."""
    _, rewards = trajectories(record, policy_version=0)
    sums = np.array([float(r.values.sum()) for r in rewards.rewards])
    done = (record.terminated | record.truncated).T
    # Trajectories come copy by copy; the last of a copy is unfinished unless it ended just there.
    ends = [np.append(np.full(int(d[:-1].sum()), True), d[-1]) for d in done]
    finished = np.concatenate(ends)
    return float(sums[finished].mean() if finished.any() else sums.mean())


def act(
    state: PolicyState, spaces: Spaces, network: Network, deterministic: bool, seed: int
) -> Act:
    """The policy as a function of a batch of observations; actions are inside their bounds."""
    with isolated(0):
        policy = make_policy(spaces, network, 0.0)
    load(policy, state.parameters)
    policy.set_training_mode(False)
    rng = np.random.default_rng(seed)

    def choose(observations: np.ndarray) -> np.ndarray:
        tensor, _ = policy.obs_to_tensor(flattened(spaces.observation, observations))
        with torch.no_grad():
            if deterministic:
                actions = policy._predict(tensor, deterministic=True)
            else:
                with isolated(int(rng.integers(2**31))):
                    actions = policy._predict(tensor)
        array = actions.cpu().numpy().reshape(len(observations), *(spaces.action.shape or ()))
        if isinstance(spaces.action, gym_spaces.Box):
            array = np.clip(array, spaces.action.low, spaces.action.high)
        return array.astype(spaces.action.dtype, copy=False)

    return choose
