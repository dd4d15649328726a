"""Which off-policy actor-critic policies of Stable-Baselines3 the fused arithmetic covers."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from gymnasium import spaces
from stable_baselines3 import SAC, TD3
from stable_baselines3.common.preprocessing import is_image_space
from stable_baselines3.common.torch_layers import FlattenExtractor
from torch import nn

from rlhf_core.fused.layout import ACTIVATIONS, plain_adam
from rlhf_core.fused.minibatches import is_plain

Layers = list[nn.Linear]


@dataclass(frozen=True)
class Dense:
    """A dense network: its linear layers, their widths from inputs to outputs, its activation."""

    layers: Layers
    widths: tuple[int, ...]
    activation: str


def dense(modules: Sequence[nn.Module]) -> Dense | None:
    """Return alternating linear layers and equal activations that end with a linear layer."""
    linear = [module for module in modules[::2] if type(module) is nn.Linear]
    kinds = {type(module) for module in modules[1::2]}
    if (
        len(modules) < 3
        or len(modules) != 2 * len(linear) - 1
        or len(kinds) != 1
        or not kinds <= set(ACTIVATIONS)
        or any(layer.bias is None for layer in linear)
    ):
        return None
    widths = (linear[0].in_features, *(layer.out_features for layer in linear))
    return Dense(linear, widths, ACTIVATIONS[kinds.pop()])


def linear_layers(network: nn.Module) -> Layers:
    """Return the linear layers of a dense network."""
    return [module for module in network.children() if isinstance(module, nn.Linear)]


def critics(model: SAC | TD3) -> list[Dense] | None:
    """Return the critics of SAC or TD3, which have equal widths, or None if not all are dense."""
    networks = [dense(list(network.children())) for network in model.critic.q_networks]
    covered = [network for network in networks if network is not None]
    return covered if covered and len(covered) == len(networks) else None


def owner(model: SAC | TD3) -> tuple[object, ...]:
    """Return the parts of a model that the arithmetic of an update is joined to."""
    return (
        model.policy,
        model.actor.optimizer,
        model.critic.optimizer,
        model.replay_buffer,
        model.get_vec_normalize_env(),
    )


def is_joined(
    now: Sequence[object], joined: Sequence[object], parameters: Iterable[torch.Tensor]
) -> bool:
    """Return whether the parts of a model are those that were joined, all parameters trained."""
    same = all(a is b for a, b in zip(now, joined, strict=True))
    return same and all(parameter.requires_grad for parameter in parameters)


def is_plain_model(model: SAC | TD3) -> bool:
    """Return whether observations, replay buffer, parameters and optimisers are covered.

    Observations are a Box of numbers that no `VecNormalize` changes; parameters are on the CPU in
    single precision, none of them frozen; the optimisers are Adam without options.
    """
    space, parts = model.observation_space, (model.actor, model.critic)
    return (
        isinstance(space, spaces.Box)
        and not is_image_space(space)
        and isinstance(model.action_space, spaces.Box)
        and is_plain(model.replay_buffer)
        and model.get_vec_normalize_env() is None
        and all(type(part.features_extractor) is FlattenExtractor for part in parts)
        and all(plain_adam(part.optimizer, list(part.parameters())) for part in parts)
        and all(
            p.device.type == "cpu" and p.dtype == torch.float32 and p.requires_grad
            for part in parts
            for p in part.parameters()
        )
    )
