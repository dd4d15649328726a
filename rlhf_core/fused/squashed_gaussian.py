"""Actions tanh(u) of a Gaussian u whose mean and standard deviation depend on the state."""

import math

import torch
from jaxtyping import Float
from stable_baselines3.sac.policies import LOG_STD_MAX, LOG_STD_MIN
from torch import Tensor

EPSILON = 1e-6
"""Added by Stable-Baselines3 within the logarithm."""
LOG_ROOT = 0.5 * math.log(2 * math.pi)


class SquashedGaussian:
    """Reparameterised actions of soft actor-critic, with gradients by hand.

        u = mean + std * noise,  a = tanh(u)
        log p(a) = sum of -noise^2 / 2 - log std - log sqrt(2 pi) - log(1 - a^2 + 1e-6)

    (Haarnoja et al. 2018, https://arxiv.org/abs/1812.05905, appendix C.) While the noise is held
    fixed, d log p / d u = 2 a (1 - a^2) / (1 - a^2 + 1e-6), and -1 is added for d / d log std.
    """

    def __init__(self, outputs: Float[Tensor, "B outputs"], parts: int = 1) -> None:
        """Read means and raw log standard deviations from columns of one array.

        Args:
            outputs: the actor's outputs, which are read at each call.
            parts: equal parts of the batch, for each of which torch's generator draws anew.
        """
        batch, size = outputs.shape[0], outputs.shape[1] // 2
        self._size = size
        self._mean, self._raw = outputs[:, :size], outputs[:, size:]
        self._noise, self.actions, self._log_std, self._std, self._slack, self._terms = (
            torch.empty(batch, size) for _ in range(6)
        )
        self._parts = self._noise.chunk(parts)
        first = batch // parts
        columns = (self.actions, self._slack, self._std, self._noise, self._raw, self._log_std)
        self._first = [column[:first] for column in columns]
        self._gradient = torch.empty(first, 2 * size)
        self._by_mean, self._by_log_std = self._gradient[:, :size], self._gradient[:, size:]

    def sample(self) -> Float[Tensor, "B act"]:
        """Return new actions; the next call overwrites them."""
        for part in self._parts:
            part.normal_()
        torch.clamp(self._raw, LOG_STD_MIN, LOG_STD_MAX, out=self._log_std)
        torch.exp(self._log_std, out=self._std)
        torch.addcmul(self._mean, self._std, self._noise, out=self.actions)
        return self.actions.tanh_()

    def log_prob(self) -> Float[Tensor, "B 1"]:
        """Return the log-probability of the actions last drawn."""
        # Rounded as Stable-Baselines3 does: near the bounds its logarithm depends on it.
        torch.mul(self.actions, self.actions, out=self._slack)
        torch.sub(1.0, self._slack, out=self._slack).add_(EPSILON)
        terms = torch.log(self._slack, out=self._terms)
        terms.add_(self._log_std).addcmul_(self._noise, self._noise, value=0.5)
        return torch.rsub(terms.sum(dim=1, keepdim=True), -LOG_ROOT * self._size)

    def gradient(
        self, by_actions: Float[Tensor, "part act"], by_log_prob: float
    ) -> Float[Tensor, "part outputs"]:
        """Return the gradient of a loss by the outputs of the first part, once after `log_prob`.

        Args:
            by_actions: derivative of the loss by actions, its log-probabilities held fixed.
            by_log_prob: derivative of the loss by each log-probability.
        """
        actions, slack, std, noise, raw, log_std = self._first
        by_mean, by_log_std = self._by_mean, self._by_log_std
        torch.div(actions, slack, out=by_mean)
        torch.add(by_actions, by_mean, alpha=2 * by_log_prob, out=by_mean)
        by_mean.mul_(slack.sub_(EPSILON))
        torch.mul(by_mean, std, out=by_log_std)
        by_log_std.mul_(noise).sub_(by_log_prob)
        # Where the bounds hold, the standard deviation does not change.
        by_log_std.mul_(log_std == raw)
        return self._gradient
