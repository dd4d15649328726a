"""The update of PPO: epochs over a rollout in minibatches, with gradients by hand."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from rlhf_core.fused.heads import Head, LogProb
from rlhf_core.fused.layout import Buffers
from rlhf_core.fused.network import Network


class Hyperparameters(NamedTuple):
    """Hyper-parameters of one update."""

    batch_size: int
    clip_range: float
    value_clip_range: float | None
    normalise_advantages: bool
    entropy_coefficient: float
    value_coefficient: float
    max_gradient_norm: float
    target_kl: float | None


class Samples(NamedTuple):
    """A rollout or a part of it; actions are encoded, one a column."""

    features: Float[np.ndarray, "B columns"]
    """With a column of ones at the end."""
    actions: Float[np.ndarray, "rows B"]
    values: Float[np.ndarray, " B"]
    log_probs: Float[np.ndarray, " B"]
    advantages: Float[np.ndarray, " B"]
    returns: Float[np.ndarray, " B"]

    def take(self, index: np.ndarray) -> "Samples":
        """Return the samples at these positions."""
        rest = (column[index] for column in self[2:])
        return Samples(self.features[index], self.actions[:, index], *rest)

    def part(self, start: int, stop: int) -> "Samples":
        """Return consecutive samples as views."""
        rest = (column[start:stop] for column in self[2:])
        return Samples(self.features[start:stop], self.actions[:, start:stop], *rest)


class Losses(NamedTuple):
    """Losses of one minibatch before its step, as Stable-Baselines3 logs them."""

    policy: float
    value: float
    entropy: float
    approx_kl: float
    clip_fraction: float


class Update:
    """One update of a policy on a rollout.

        L = -mean min(A r, A clip(r, 1 - c, 1 + c)) + c_v mean (V - R)^2 - c_e mean H

    with r = pi(a|s) / pi_old(a|s) (Schulman et al. 2017, https://arxiv.org/abs/1707.06347,
    equations 7 and 9); the norm of the gradient is clipped before Adam's step.
    """

    def __init__(
        self,
        buffers: Buffers,
        head: Head,
        networks: dict[int, Network],
        hyperparameters: Hyperparameters,
    ) -> None:
        self.buffers, self.head, self.networks = buffers, head, networks
        self.hyperparameters = hyperparameters
        self.losses: list[Losses] = []
        self._epoch_began = 0

    def epoch(self, samples: Samples) -> bool:
        """Take one pass in the order of the samples; return False if `target_kl` was exceeded."""
        batch_size, count = self.hyperparameters.batch_size, len(samples.values)
        self._epoch_began = len(self.losses)
        for start in range(0, count, batch_size):
            stop = min(start + batch_size, count)
            if not self._step(samples.part(start, stop)):
                return False
        return True

    def _step(self, samples: Samples) -> bool:
        hyper, parts, count = self.hyperparameters, self.buffers.parts, len(samples.values)
        if count not in self.networks:
            self.networks[count] = Network(self.buffers.shape, count)
        network = self.networks[count]
        outputs, values = network.forward(parts, samples.features)
        evaluated = self.head.log_prob(outputs, parts.log_std, samples.actions)
        gradient = np.empty((len(outputs) + 1, count), dtype=np.float32)
        log_prob_gradient, policy_loss, kl, clipped = self._policy(samples, evaluated)
        gradient[-1], value_loss = self._value(samples, values)
        entropy = float(np.add.reduce(evaluated.entropy)) / count
        self.losses.append(Losses(policy_loss, value_loss, -entropy, kl, clipped))
        if hyper.target_kl is not None and kl > 1.5 * hyper.target_kl:
            return False
        gradient[:-1] = self.head.gradient(
            evaluated,
            parts.log_std,
            samples.actions,
            log_prob_gradient,
            -hyper.entropy_coefficient / count,
            self.buffers.gradient_parts.log_std,
        )
        network.backward(parts, self.buffers.gradient_parts, samples.features, gradient)
        self.buffers.descend(hyper.max_gradient_norm)
        return True

    def _policy(
        self, samples: Samples, evaluated: LogProb
    ) -> tuple[np.ndarray, float, float, float]:
        """Return the gradient (B,) by log-probabilities, the loss, the KL, the clipped fraction."""
        hyper, count = self.hyperparameters, len(samples.values)
        advantages = samples.advantages
        if hyper.normalise_advantages and count > 1:
            advantages = advantages - np.add.reduce(advantages) / np.float32(count)
            std = np.sqrt(np.dot(advantages, advantages) / np.float32(count - 1))
            advantages /= std + np.float32(1e-8)
        log_ratio = evaluated.log_prob - samples.log_probs
        ratio = np.exp(log_ratio)
        plain = advantages * ratio
        limit = hyper.clip_range
        clipped = advantages * np.minimum(np.maximum(ratio, 1 - limit), 1 + limit)
        loss = -float(np.add.reduce(np.minimum(plain, clipped))) / count
        divergence = float(np.add.reduce(ratio - np.float32(1) - log_ratio)) / count
        outside = np.count_nonzero(np.abs(ratio - np.float32(1)) > limit) / count
        # The clipped term, where it is the smaller one, does not depend on the policy.
        gradient = plain * (plain <= clipped)
        gradient *= np.float32(-1 / count)
        return gradient, loss, divergence, outside

    def _value(self, samples: Samples, values: np.ndarray) -> tuple[np.ndarray, float]:
        """Return the gradient (B,) of the loss by values, and the loss without its weight."""
        hyper, count = self.hyperparameters, len(samples.values)
        predicted = values
        if hyper.value_clip_range is not None:
            change = values - samples.values
            clipped = np.clip(change, -hyper.value_clip_range, hyper.value_clip_range)
            predicted = samples.values + clipped
        error = predicted - samples.returns
        loss = float(np.dot(error, error)) / count
        gradient = error * np.float32(2 * hyper.value_coefficient / count)
        if hyper.value_clip_range is not None:
            gradient *= clipped == change
        return gradient, loss

    def logged(self) -> dict[str, float]:
        """Return means over minibatches, by the names in Stable-Baselines3's log."""
        policy, value, entropy, kl, clipped = np.array(self.losses).T
        last, hyper = self.losses[-1], self.hyperparameters
        return {
            "entropy_loss": float(entropy.mean()),
            "policy_gradient_loss": float(policy.mean()),
            "value_loss": float(value.mean()),
            "approx_kl": float(kl[self._epoch_began :].mean()),
            "clip_fraction": float(clipped.mean()),
            "loss": last.policy
            + hyper.entropy_coefficient * last.entropy
            + hyper.value_coefficient * last.value,
        }
