"""All parameters of an actor-critic policy as one flat vector, with gradient and Adam's moments."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from stable_baselines3.common.distributions import (
    CategoricalDistribution,
    DiagGaussianDistribution,
    MultiCategoricalDistribution,
)
from stable_baselines3.common.policies import ActorCriticPolicy
from torch import nn

from rlhf_core.fused.heads import Categorical, DiagonalGaussian, Head

ACTIVATIONS = {nn.Tanh: "tanh", nn.ReLU: "relu"}


@dataclass(frozen=True)
class Shape:
    """Widths of actor and critic, layer by layer, and their activation."""

    inputs: int
    actor: tuple[int, ...]
    critic: tuple[int, ...]
    outputs: int
    activation: str


def shape_of(policy: nn.Module) -> Shape | None:
    """Return the shape of a policy that the fused arithmetic covers, or None for any other.

    It covers dense actors and critics of the same depth, with tanh or ReLU, in single precision on
    the CPU, behind a shared extractor without parameters. Actions are one or several categories, or
    numbers with a standard deviation that does not depend on the state. The optimiser is Adam
    without options.
    """
    if type(policy) is not ActorCriticPolicy or head_of(policy) is None:
        return None
    extractor = policy.mlp_extractor
    actor, critic = _dense(extractor.policy_net), _dense(extractor.value_net)
    parameters = dict(policy.named_parameters())
    if (
        actor is None
        or critic is None
        or len(actor) != len(critic)
        or not actor
        or not policy.share_features_extractor
        or any(name.startswith("features_extractor.") for name in parameters)
        or any(
            p.device.type != "cpu" or p.dtype != torch.float32 or not p.requires_grad
            for p in parameters.values()
        )
        or not plain_adam(policy.optimizer, list(parameters.values()))
    ):
        return None
    nets = (extractor.policy_net, extractor.value_net)
    kinds = {type(layer) for net in nets for layer in list(net)[1::2]}
    if len(kinds) != 1 or not kinds <= set(ACTIVATIONS):
        return None
    return Shape(
        int(policy.features_dim),
        tuple(actor),
        tuple(critic),
        len(policy.get_parameter("action_net.bias")),
        ACTIVATIONS[kinds.pop()],
    )


def head_of(policy: ActorCriticPolicy) -> Head | None:
    """Return the distribution of actions, or None if it is not covered."""
    distribution = policy.action_dist
    if type(distribution) is CategoricalDistribution:
        return Categorical((int(distribution.action_dim),))
    if type(distribution) is MultiCategoricalDistribution:
        return Categorical(tuple(int(size) for size in distribution.action_dims))
    if type(distribution) is DiagGaussianDistribution and not policy.squash_output:
        return DiagonalGaussian(int(distribution.action_dim))
    return None


def _dense(net: nn.Sequential) -> list[int] | None:
    """Return the widths of alternating linear and activation layers, or None for any others."""
    layers = list(net)
    linear = [layer for layer in layers[::2] if isinstance(layer, nn.Linear)]
    if len(layers) != 2 * len(linear):
        return None
    return [layer.out_features for layer in linear]


def plain_adam(optimizer: torch.optim.Optimizer, parameters: list[nn.Parameter]) -> bool:
    """Return whether an optimiser is Adam without options over just these parameters."""
    if type(optimizer) is not torch.optim.Adam or len(optimizer.param_groups) != 1:
        return False
    group = optimizer.param_groups[0]
    plain = not (group["amsgrad"] or group["maximize"] or group["weight_decay"])
    expected = {id(parameter) for parameter in parameters}
    return plain and {id(parameter) for parameter in group["params"]} == expected


@dataclass(frozen=True)
class Parts:
    """Views into one flat vector, in which actor and critic share matrix products."""

    first: np.ndarray
    """(actor + critic, inputs + 1): the first layers of both, with their biases as last column."""
    further: tuple[tuple[np.ndarray, np.ndarray, np.ndarray], ...]
    """For each further layer, the actor's weights, the critic's, and the biases of both."""
    last: np.ndarray
    """(outputs + 1, actor + critic): the last layers of both as blocks, 0 elsewhere."""
    last_bias: np.ndarray
    """(outputs + 1,)"""
    log_std: np.ndarray
    """(outputs,) log standard deviations; empty if actions are categories."""


def flat_size(shape: Shape, log_std_size: int) -> int:
    """Return the number of entries of the flat vector."""
    return sum(int(np.prod(size)) for size in _sizes(shape, log_std_size))


def parts_of(flat: np.ndarray, shape: Shape, log_std_size: int) -> Parts:
    """Return views into a flat vector of `flat_size` entries."""
    sizes = _sizes(shape, log_std_size)
    ends = np.cumsum([0, *(int(np.prod(size)) for size in sizes)]).tolist()
    views = [flat[a:b].reshape(size) for (a, b), size in zip(pairwise(ends), sizes, strict=True)]
    first, *middle, last, last_bias, log_std = views
    further = tuple(zip(middle[::3], middle[1::3], middle[2::3], strict=True))
    return Parts(first, further, last, last_bias, log_std)


def _sizes(shape: Shape, log_std_size: int) -> list[tuple[int, ...]]:
    widths = list(zip(shape.actor, shape.critic, strict=True))
    sizes: list[tuple[int, ...]] = [(sum(widths[0]), shape.inputs + 1)]
    for (actor_in, critic_in), (actor_out, critic_out) in pairwise(widths):
        sizes += [(actor_out, actor_in), (critic_out, critic_in), (actor_out + critic_out,)]
    outputs = shape.outputs + 1
    return [*sizes, (outputs, sum(widths[-1])), (outputs,), (log_std_size,)]


def named(parts: Parts, shape: Shape) -> dict[str, np.ndarray]:
    """Return the view of each parameter, by its name in Stable-Baselines3's policy."""
    actor, critic = "mlp_extractor.policy_net", "mlp_extractor.value_net"
    split = shape.actor[0]
    views = {
        f"{actor}.0.weight": parts.first[:split, :-1],
        f"{actor}.0.bias": parts.first[:split, -1],
        f"{critic}.0.weight": parts.first[split:, :-1],
        f"{critic}.0.bias": parts.first[split:, -1],
    }
    for layer, (weights, values, biases) in enumerate(parts.further, start=1):
        split = shape.actor[layer]
        views |= {
            f"{actor}.{2 * layer}.weight": weights,
            f"{actor}.{2 * layer}.bias": biases[:split],
            f"{critic}.{2 * layer}.weight": values,
            f"{critic}.{2 * layer}.bias": biases[split:],
        }
    split, outputs = shape.actor[-1], shape.outputs
    views |= {
        "action_net.weight": parts.last[:outputs, :split],
        "action_net.bias": parts.last_bias[:outputs],
        "value_net.weight": parts.last[outputs:, split:],
        "value_net.bias": parts.last_bias[outputs:],
    }
    return views | ({"log_std": parts.log_std} if len(parts.log_std) else {})


class Buffers:
    """Parameters, gradient and Adam's moments of a policy as flat vectors."""

    def __init__(self, policy: ActorCriticPolicy, shape: Shape, log_std_size: int) -> None:
        self.policy = policy
        self.shape = shape
        size = flat_size(shape, log_std_size)
        self.values, self.gradient, self._mean, self._square, self._scratch = (
            np.zeros(size, dtype=np.float32) for _ in range(5)
        )
        self.parts, self.gradient_parts, means, squares = (
            parts_of(flat, shape, log_std_size)
            for flat in (self.values, self.gradient, self._mean, self._square)
        )
        parameters = dict(policy.named_parameters())
        value, mean, square = (named(parts, shape) for parts in (self.parts, means, squares))
        self._places = [(parameters[n], value[n], mean[n], square[n]) for n in value]
        self._steps = 0

    def read(self) -> None:
        """Copy the parameters from the policy."""
        for parameter, value, _, _ in self._places:
            value[...] = parameter.detach().numpy()

    def read_moments(self) -> None:
        """Copy Adam's moments from the policy's optimiser; they are 0 before its first step."""
        state = self.policy.optimizer.state
        self._steps = 0
        for parameter, _, mean, square in self._places:
            moments = state.get(parameter)
            mean[...] = moments["exp_avg"].numpy() if moments else 0.0
            square[...] = moments["exp_avg_sq"].numpy() if moments else 0.0
            self._steps = int(moments["step"]) if moments else 0

    def write(self) -> None:
        """Copy parameters and moments to the policy and its optimiser."""
        state = self.policy.optimizer.state
        with torch.no_grad():
            for parameter, value, mean, square in self._places:
                parameter.copy_(torch.from_numpy(value))
                if self._steps:
                    state[parameter] = {
                        "step": torch.tensor(float(self._steps)),
                        "exp_avg": torch.from_numpy(mean.copy()),
                        "exp_avg_sq": torch.from_numpy(square.copy()),
                    }

    def descend(self, limit: float) -> None:
        """Clip the norm of the gradient to `limit`, then take a step of Adam, as PyTorch does."""
        group = self.policy.optimizer.param_groups[0]
        values, gradient, mean, square, scratch = (
            torch.from_numpy(a)
            for a in (self.values, self.gradient, self._mean, self._square, self._scratch)
        )
        norm = float(np.sqrt(np.dot(self.gradient, self.gradient)))
        if norm + 1e-6 > limit:
            self.gradient *= np.float32(limit / (norm + 1e-6))
        self._steps += 1
        first, second = group["betas"]
        mean.lerp_(gradient, 1 - first)
        square.mul_(second).addcmul_(gradient, gradient, value=1 - second)
        torch.sqrt(square, out=scratch)
        scratch.div_((1 - second**self._steps) ** 0.5).add_(group["eps"])
        values.addcdiv_(mean, scratch, value=-group["lr"] / (1 - first**self._steps))
