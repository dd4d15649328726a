"""On-policy rollouts of Stable-Baselines3, labelled by any reward when they are complete."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np
import torch
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.distributions import DiagGaussianDistribution
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.type_aliases import PyTorchObs
from torch import Tensor

from rlhf_core.policies import Report
from rlhf_core.recording import Record
from rlhf_core.reservoir import RESERVOIR_STEPS, Reservoir
from rlhf_core.rewards import EnvironmentReward, ObservingReward, Reward
from rlhf_core.rewards.absorbing import AbsorbingScale, staying, staying_rewards, value_of_staying
from rlhf_core.stable_baselines.normalisation import Normalised
from rlhf_core.stable_baselines.vec_env import RecordingVecEnv
from rlhf_core.types import Transitions

SMALLEST_STD = 1e-6
"""Returns with a smaller standard deviation are constant, and not divided by it."""


@dataclass(frozen=True)
class Critic:
    """The values that a complete rollout needs, computed by the value function of a model."""

    final_values: Callable[[OnPolicyAlgorithm, PyTorchObs, np.ndarray], Tensor]
    """Of the model, the final observations (n, ...) of truncated steps and the mask (T, copies) of
    those steps: their values (n,)."""
    next_values: Callable[[OnPolicyAlgorithm, dict[str, Any]], Tensor]
    """Of the model and the local variables of its collection: the values (copies,) of the
    observations after the rollout."""
    density: bool
    """Whether the observation alone determines the probability of an action."""


def feedforward_critic() -> Critic:
    """Return the critic of a policy without a recurrent state."""
    return Critic(
        final_values=lambda model, observations, truncated: model.policy.predict_values(
            observations
        ),
        next_values=lambda model, variables: variables["values"],
        density=True,
    )


class OnPolicyRelabelling(BaseCallback):
    """A callback that labels a complete rollout in one batch and computes its advantages anew.

        r_t <- reward(s_t, a_t, s_t+1) + discount V(s_t+1) where the episode was truncated at t

    as Stable-Baselines3 does with the rewards of an environment. In an absorbing state V is not the
    value function's but the sum of the rewards of staying there (`rlhf_core.rewards.absorbing`).
    """

    def __init__(
        self,
        reward: Reward,
        environment: RecordingVecEnv,
        report: Report,
        true_scale: float | None,
        normalise_returns: bool,
        critic: Critic,
        rng: np.random.Generator,
        policy_version: int,
        ends: Transitions | None = None,
    ) -> None:
        """Make a callback; `ends` are absorbing steps of earlier rollouts."""
        super().__init__()
        self.reward = reward
        self.environment = environment
        self.absorbing = AbsorbingScale(ends)
        self.reservoir = Reservoir(RESERVOIR_STEPS, policy_version, rng)
        self.steps = 0
        """Environment steps of all rollouts."""
        self.returns = Returns(environment.num_envs)
        self.means: list[float] = []
        """Mean reward of the first rollout and of the last one."""
        self._last: Record | None = None
        self._report = report
        self.true_scale = true_scale
        self._normalise_returns = normalise_returns
        self._critic = critic
        self._rng = rng
        self._discounted = np.zeros(environment.num_envs)
        self._moments = np.zeros(3)
        """Number, sum and sum of squares of discounted returns."""

    def _on_step(self) -> bool:
        return True

    def _on_rollout_start(self) -> None:
        self._update_normalisation()

    def _on_training_end(self) -> None:
        self._update_normalisation()

    def _update_normalisation(self) -> None:
        """Add the last rollout to the moments, once all gradient steps on it are done."""
        extractor = self.model.policy.features_extractor
        if isinstance(extractor, Normalised) and self._last is not None:
            observations = self.environment.flattened(all_steps(self._last.observations))
            extractor.update(torch.from_numpy(observations))

    def _on_rollout_end(self) -> None:
        record = self.environment.recorder.take()
        if isinstance(self.reward, ObservingReward):
            density = self._density if self._critic.density else None
            observed = observed_transitions(record)
            self.reward = self.reward.observe(observed, density, self._rng)
        model = self.model
        assert isinstance(model, OnPolicyAlgorithm)
        ends = staying(record)
        labels, end_labels = self._labels(record), staying_rewards(self.reward, ends)
        scale = self.absorbing.of(self.reward, ends, labels)
        absorbed = record.absorbing_steps >= 0
        left = record.absorbing_steps[absorbed]
        self._last = record
        self.reservoir.add(record)
        self.steps += record.rewards.size
        complete = labels.copy()
        complete[absorbed] += end_labels * left
        self.returns.add(complete, record.terminated | record.truncated)
        self.means[1:] = [float(complete.sum() / (complete.size + left.sum()))]
        truncated = record.truncated & ~record.terminated & ~absorbed
        bootstrapped = scale(labels)
        bootstrapped[absorbed] += model.gamma * value_of_staying(
            scale(end_labels), left, model.gamma
        )
        if self._normalise_returns:
            bootstrapped /= self._return_std(bootstrapped.copy(), record)
        if truncated.any():
            final, _ = model.policy.obs_to_tensor(
                self.environment.flattened(record.next_observations[truncated])
            )
            with torch.no_grad():
                values = self._critic.final_values(model, final, truncated)
            bootstrapped[truncated] += model.gamma * values.cpu().numpy().ravel()
        buffer = model.rollout_buffer
        buffer.rewards[:] = bootstrapped
        with torch.no_grad():
            next_values = self._critic.next_values(model, self.locals)
        buffer.compute_returns_and_advantage(last_values=next_values, dones=self.locals["dones"])
        self._report(record.rewards.size)

    def _density(self, observations: np.ndarray, actions: np.ndarray) -> np.ndarray:
        """Return the log-probability (B,) of actions under the current policy."""
        policy = self.model.policy
        assert isinstance(policy, ActorCriticPolicy)
        inputs, _ = policy.obs_to_tensor(self.environment.flattened(observations))
        tensor = torch.from_numpy(np.array(actions, dtype=np.float32))
        with torch.no_grad():
            distribution = policy.get_distribution(inputs)
            if isinstance(distribution, DiagGaussianDistribution):
                space = self.environment.action_space
                log_prob = _clipped_log_prob(distribution.distribution, space, tensor)
            else:
                log_prob = distribution.log_prob(tensor)
        result: np.ndarray = log_prob.numpy()
        return result

    def _return_std(self, labels: np.ndarray, record: Record) -> np.float32:
        """Return the standard deviation of discounted returns over this call's rollouts so far."""
        assert isinstance(self.model, OnPolicyAlgorithm)
        ended = record.terminated | record.truncated
        sums, self._discounted = _discounted(labels, ended, self.model.gamma, self._discounted)
        self._moments += [sums.size, sums.sum(), np.square(sums).sum()]
        count, total, squares = self._moments
        std = np.sqrt(max(squares / count - (total / count) ** 2, 0.0))
        return np.float32(std if std > SMALLEST_STD else 1.0)

    def _labels(self, record: Record) -> np.ndarray:
        if isinstance(self.reward, EnvironmentReward):
            # Learned rewards have a scale of 1. The control gets it from the first rollout whose
            # rewards are not all 0. A shift would change the value of the end of an episode.
            if self.true_scale is None:
                self.true_scale = float(np.sqrt(np.square(record.rewards).mean())) or None
            return (record.rewards / (self.true_scale or 1.0)).astype(np.float32)
        steps = transitions(record)
        if isinstance(self.reward, ObservingReward):
            labels = self.reward.policy_rewards(steps, self._density)
        else:
            labels = self.reward(*steps)
        return labels.reshape(record.rewards.shape)


class Returns:
    """Mean return of the episodes that ended, or of the unfinished ones if none did."""

    def __init__(self, count: int) -> None:
        self._running = np.zeros(count)
        self._ended = 0
        self._total = 0.0

    def add(self, rewards: np.ndarray, ended: np.ndarray) -> None:
        """Add rewards (T, copies), and the steps (T, copies) at which episodes ended."""
        for step_rewards, over in zip(rewards, ended, strict=True):
            self._running += step_rewards
            if over.any():
                self._total += float(self._running[over].sum())
                self._ended += int(over.sum())
                self._running[over] = 0.0

    def mean(self) -> float:
        """Return the mean over the episodes so far."""
        return self._total / self._ended if self._ended else float(self._running.mean())


def _clipped_log_prob(
    distribution: torch.distributions.Distribution,
    space: gymnasium.Space[Any],
    actions: torch.Tensor,
) -> torch.Tensor:
    """Return the log-probability (B,) of actions that were clipped to their bounds.

    An action at a bound has the probability of all actions beyond it. The density at the bound
    would be close to 0 where the mean lies far beyond it.
    """
    assert isinstance(distribution, torch.distributions.Normal)
    assert isinstance(space, gymnasium.spaces.Box)
    low, high = torch.from_numpy(space.low), torch.from_numpy(space.high)
    mean, std = distribution.mean, distribution.stddev
    log_prob = distribution.log_prob(actions)
    above = torch.special.log_ndtr((mean - high) / std)
    log_prob = torch.where(actions >= high, above, log_prob)
    below = torch.special.log_ndtr((low - mean) / std)
    return torch.where(actions <= low, below, log_prob).flatten(1).sum(dim=1)


def _discounted(
    rewards: np.ndarray, ended: np.ndarray, discount: float, before: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return R_t = r_t + discount R_(t-1) (T, copies) within episodes, and R_T (copies,) or 0.

    Args:
        rewards: (T, copies).
        ended: (T, copies), whether the episode ended with this step.
        discount: of one step.
        before: (copies,), R_(-1).
    """
    sums = np.empty(rewards.shape)
    for step, values in enumerate(rewards):
        sums[step] = values + discount * before
        before = np.where(ended[step], 0.0, sums[step])
    return sums, before


def transitions(record: Record) -> Transitions:
    """Return all steps of a record as a flat batch."""
    columns = (record.observations, record.actions, record.next_observations, record.terminated)
    return Transitions(*(all_steps(column) for column in columns))


def observed_transitions(record: Record) -> Transitions:
    """Return the steps that a reward learns from: those played, and one a new absorbing state."""
    return transitions(record).joined(staying(record))


def all_steps(array: np.ndarray) -> np.ndarray:
    """Return an array (T, copies, ...) as (T x copies, ...)."""
    return array.reshape(-1, *array.shape[2:])
