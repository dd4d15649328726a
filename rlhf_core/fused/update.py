"""The update of PPO: passes over a rollout in minibatches, gradients by hand."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from rlhf_core.fused.heads import Head, Judged
from rlhf_core.fused.layout import Memory
from rlhf_core.fused.network import Network


class Rule(NamedTuple):
    """What the update maximises, and how far it may go."""

    batch_size: int
    clip_range: float
    value_clip_range: float | None
    normalise_advantages: bool
    entropy_coefficient: float
    value_coefficient: float
    max_gradient_norm: float
    target_kl: float | None


class Samples(NamedTuple):
    """A rollout, or a part of it; actions are encoded, one a column."""

    features: Float[np.ndarray, "B columns"]
    """A column of ones at the end."""
    actions: Float[np.ndarray, "rows B"]
    values: Float[np.ndarray, " B"]
    log_probabilities: Float[np.ndarray, " B"]
    advantages: Float[np.ndarray, " B"]
    returns: Float[np.ndarray, " B"]

    def take(self, index: np.ndarray) -> "Samples":
        """The samples at these positions."""
        rest = (column[index] for column in self[2:])
        return Samples(self.features[index], self.actions[:, index], *rest)

    def part(self, start: int, stop: int) -> "Samples":
        """Consecutive samples, as views."""
        rest = (column[start:stop] for column in self[2:])
        return Samples(self.features[start:stop], self.actions[:, start:stop], *rest)


class Losses(NamedTuple):
    """What one minibatch was like before its step, as Stable-Baselines3 logs it."""

    policy: float
    value: float
    entropy: float
    approx_kl: float
    clip_fraction: float


class Update:
    """One update of a policy on a rollout.

        L = -mean min(A r, A clip(r, 1 - c, 1 + c)) + c_v mean (V - R)^2 - c_e mean H

    with r = pi(a|s) / pi_old(a|s) (Schulman et al. 2017, https://arxiv.org/abs/1707.06347,
    equations 7 and 9); the gradient is scaled down to a norm before Adam's step.
    """

    def __init__(self, memory: Memory, head: Head, networks: dict[int, Network], rule: Rule):
        self.memory, self.head, self.networks, self.rule = memory, head, networks, rule
        self.losses: list[Losses] = []
        self._epoch_began = 0

    def epoch(self, samples: Samples) -> bool:
        """One pass in the order of the samples; False when the policy moved too far."""
        rule, count = self.rule, len(samples.values)
        self._epoch_began = len(self.losses)
        for start in range(0, count, rule.batch_size):
            stop = min(start + rule.batch_size, count)
            if not self._step(samples.part(start, stop)):
                return False
        return True

    def _step(self, samples: Samples) -> bool:
        rule, parts, count = self.rule, self.memory.parts, len(samples.values)
        if count not in self.networks:
            self.networks[count] = Network(self.memory.shape, count)
        network = self.networks[count]
        outputs, values = network.forward(parts, samples.features)
        judged = self.head.judge(outputs, parts.deviations, samples.actions)
        slopes = np.empty((len(outputs) + 1, count), dtype=np.float32)
        policy_slope, policy_loss, kl, clipped = self._policy(samples, judged)
        slopes[-1], value_loss = self._value(samples, values)
        entropy = float(np.add.reduce(judged.entropy)) / count
        self.losses.append(Losses(policy_loss, value_loss, -entropy, kl, clipped))
        if rule.target_kl is not None and kl > 1.5 * rule.target_kl:
            return False
        slopes[:-1] = self.head.slope(
            judged,
            parts.deviations,
            samples.actions,
            policy_slope,
            -rule.entropy_coefficient / count,
            self.memory.slopes.deviations,
        )
        network.backward(parts, self.memory.slopes, samples.features, slopes)
        self.memory.descend(rule.max_gradient_norm)
        return True

    def _policy(self, samples: Samples, judged: Judged) -> tuple[np.ndarray, float, float, float]:
        """Derivative (B,) of the loss by log-probabilities, loss, divergence, clipped share."""
        rule, count = self.rule, len(samples.values)
        advantages = samples.advantages
        if rule.normalise_advantages and count > 1:
            advantages = advantages - np.add.reduce(advantages) / np.float32(count)
            deviation = np.sqrt(np.dot(advantages, advantages) / np.float32(count - 1))
            advantages /= deviation + np.float32(1e-8)
        log_ratio = judged.log_probability - samples.log_probabilities
        ratio = np.exp(log_ratio)
        plain = advantages * ratio
        near = np.minimum(np.maximum(ratio, 1 - rule.clip_range), 1 + rule.clip_range)
        clipped = advantages * near
        loss = -float(np.add.reduce(np.minimum(plain, clipped))) / count
        divergence = float(np.add.reduce(ratio - np.float32(1) - log_ratio)) / count
        outside = np.count_nonzero(np.abs(ratio - np.float32(1)) > rule.clip_range) / count
        # Where the clipped term is the smaller one, it does not depend on the policy.
        slope = plain * (plain <= clipped)
        slope *= np.float32(-1 / count)
        return slope, loss, divergence, outside

    def _value(self, samples: Samples, values: np.ndarray) -> tuple[np.ndarray, float]:
        """Derivative (B,) of the loss by values, and the unweighted loss."""
        rule, count = self.rule, len(samples.values)
        predicted = values
        if rule.value_clip_range is not None:
            moved = values - samples.values
            near = np.clip(moved, -rule.value_clip_range, rule.value_clip_range)
            predicted = samples.values + near
        error = predicted - samples.returns
        loss = float(np.dot(error, error)) / count
        slope = error * np.float32(2 * rule.value_coefficient / count)
        if rule.value_clip_range is not None:
            slope *= near == moved
        return slope, loss

    def logged(self) -> dict[str, float]:
        """Means over minibatches, under the names that Stable-Baselines3 logs them by."""
        policy, value, entropy, kl, clipped = np.array(self.losses).T
        last, rule = self.losses[-1], self.rule
        return {
            "entropy_loss": float(entropy.mean()),
            "policy_gradient_loss": float(policy.mean()),
            "value_loss": float(value.mean()),
            "approx_kl": float(kl[self._epoch_began :].mean()),
            "clip_fraction": float(clipped.mean()),
            "loss": last.policy
            + rule.entropy_coefficient * last.entropy
            + rule.value_coefficient * last.value,
        }
