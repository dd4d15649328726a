"""Rollouts of Stable-Baselines3 that are paid when they are complete, by any reward."""

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
from rlhf_core.stable_baselines.normalisation import Normalised
from rlhf_core.stable_baselines.vec_env import RecordingVecEnv
from rlhf_core.types import Transitions

SMALLEST = 1e-6
"""A deviation of returns below it is that of a constant: nothing to divide by."""


@dataclass(frozen=True)
class Critic:
    """How the value function of a model is asked, when its rollout is complete."""

    finals: Callable[[OnPolicyAlgorithm, PyTorchObs, np.ndarray], Tensor]
    """Values of the final observations of steps that were cut off, a mask over T and copies."""
    after: Callable[[OnPolicyAlgorithm, dict[str, Any]], Tensor]
    """Those of the observations after the rollout, also by the names that its collection knows."""
    density: bool
    """Whether actions have a probability by the observation alone."""


def plain_critic() -> Critic:
    """Of a policy without memory."""
    return Critic(
        finals=lambda model, shown, cut: model.policy.predict_values(shown),
        after=lambda model, known: known["values"],
        density=True,
    )


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
        critic: Critic,
        rng: np.random.Generator,
        policy_version: int,
    ) -> None:
        super().__init__()
        self.reward = reward
        self.environment = environment
        self.kept = Reservoir(RESERVOIR_STEPS, policy_version, rng)
        self.taken = 0
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
        self._observe()

    def _on_training_end(self) -> None:
        self._observe()

    def _observe(self) -> None:
        """Normalise by the last rollout from now on, when nothing is left to learn from it."""
        extractor = self.model.policy.features_extractor
        if isinstance(extractor, Normalised) and self._last is not None:
            shown = self.environment.shown(all_steps(self._last.observations))
            extractor.observe(torch.from_numpy(shown))

    def _on_rollout_end(self) -> None:
        record = self.environment.recorder.take()
        if isinstance(self.reward, ObservingReward):
            density = self._density if self._critic.density else None
            self.reward = self.reward.observe(transitions(record), density, self._rng)
        labels = self._labels(record)
        self._last = record
        self.kept.add(record)
        self.taken += record.rewards.size
        self.returns.add(labels, record.terminated | record.truncated)
        self.means[1:] = [float(labels.mean())]
        model = self.model
        assert isinstance(model, OnPolicyAlgorithm)
        cut = record.truncated & ~record.terminated
        bootstrapped = labels.copy()
        if self._normalise_returns:
            bootstrapped /= self._deviation(labels, record)
        if cut.any():
            final, _ = model.policy.obs_to_tensor(
                self.environment.shown(record.next_observations[cut])
            )
            with torch.no_grad():
                values = self._critic.finals(model, final, cut)
            bootstrapped[cut] += model.gamma * values.cpu().numpy().ravel()
        buffer = model.rollout_buffer
        buffer.rewards[:] = bootstrapped
        with torch.no_grad():
            after = self._critic.after(model, self.locals)
        buffer.compute_returns_and_advantage(last_values=after, dones=self.locals["dones"])
        self._report(record.rewards.size)

    def _density(self, observations: np.ndarray, actions: np.ndarray) -> np.ndarray:
        """Log-probability (B,) of actions under the policy that is just learning."""
        policy = self.model.policy
        assert isinstance(policy, ActorCriticPolicy)
        seen, _ = policy.obs_to_tensor(self.environment.shown(observations))
        acted = torch.from_numpy(np.array(actions, dtype=np.float32))
        with torch.no_grad():
            drawn = policy.get_distribution(seen)
            if isinstance(drawn, DiagGaussianDistribution):
                likelihood = _cut_off(drawn.distribution, self.environment.action_space, acted)
            else:
                likelihood = drawn.log_prob(acted)
        taken: np.ndarray = likelihood.numpy()
        return taken

    def _deviation(self, labels: np.ndarray, record: Record) -> np.float32:
        """Standard deviation of discounted returns over this call's rollouts so far."""
        assert isinstance(self.model, OnPolicyAlgorithm)
        ended = record.terminated | record.truncated
        sums, self._discounted = _discounted(labels, ended, self.model.gamma, self._discounted)
        self._moments += [sums.size, sums.sum(), np.square(sums).sum()]
        count, total, squares = self._moments
        spread = np.sqrt(max(squares / count - (total / count) ** 2, 0.0))
        return np.float32(spread if spread > SMALLEST else 1.0)

    def _labels(self, record: Record) -> np.ndarray:
        if isinstance(self.reward, EnvironmentReward):
            # Learned rewards come on a scale of 1; the control gets the same, once and for all on
            # the first rollout that pays. Not shifted: that would change what an end is worth.
            if self.true_scale is None:
                self.true_scale = float(np.sqrt(np.square(record.rewards).mean())) or None
            return (record.rewards / (self.true_scale or 1.0)).astype(np.float32)
        steps = transitions(record)
        if isinstance(self.reward, ObservingReward):
            labels = self.reward.paid(steps, self._density)
        else:
            labels = self.reward(*steps)
        return labels.reshape(record.rewards.shape)


class Returns:
    """Mean sum of rewards of the episodes that ended, or of all parts where none did."""

    def __init__(self, count: int) -> None:
        self._running = np.zeros(count)
        self._ended = 0
        self._total = 0.0

    def add(self, rewards: np.ndarray, ended: np.ndarray) -> None:
        """Go on with rewards (T, count) of all copies, and where episodes ended."""
        for paid, over in zip(rewards, ended, strict=True):
            self._running += paid
            if over.any():
                self._total += float(self._running[over].sum())
                self._ended += int(over.sum())
                self._running[over] = 0.0

    def mean(self) -> float:
        """Over the episodes so far."""
        return self._total / self._ended if self._ended else float(self._running.mean())


def _cut_off(
    drawn: torch.distributions.Distribution, space: gymnasium.Space[Any], actions: torch.Tensor
) -> torch.Tensor:
    """Log-probability (B,) of actions that were cut off at their bounds.

    A bound has all the probability beyond it, and not the density there, which is next to nothing
    where the policy is sure of it.
    """
    assert isinstance(drawn, torch.distributions.Normal)
    assert isinstance(space, gymnasium.spaces.Box)
    low, high = torch.from_numpy(space.low), torch.from_numpy(space.high)
    likelihood = drawn.log_prob(actions)
    beyond = torch.special.log_ndtr((drawn.mean - high) / drawn.stddev)
    likelihood = torch.where(actions >= high, beyond, likelihood)
    below = torch.special.log_ndtr((low - drawn.mean) / drawn.stddev)
    return torch.where(actions <= low, below, likelihood).flatten(1).sum(dim=1)


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


def transitions(record: Record) -> Transitions:
    """All steps of a record as a flat batch."""
    columns = (record.observations, record.actions, record.next_observations, record.terminated)
    return Transitions(*(all_steps(column) for column in columns))


def all_steps(array: np.ndarray) -> np.ndarray:
    """An array (T, copies, ...) as (T x copies, ...)."""
    return array.reshape(-1, *array.shape[2:])
