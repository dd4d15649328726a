"""The discriminator's networks: normalised inputs, scores, and the untrained state."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import silu

from rlhf_core.environments.spaces import Spaces, encode
from rlhf_core.inverse_rl.model import Discriminator, DiscriminatorState, Method
from rlhf_core.normaliser import Normaliser
from rlhf_core.rewards.model import RewardModel
from rlhf_core.rewards.network import raw_features
from rlhf_core.types import Transitions

Parameters = Mapping[str, Tensor]
"""Weights by their names in `DiscriminatorState.parameters`."""


@dataclass(frozen=True)
class Inputs:
    """Normalised features of steps, as tensors."""

    features: Float[Tensor, "B features"]
    before: Tensor
    """States s (B, states) for the shaping term; empty without one."""
    after: Tensor
    """States s' (B, states); empty without a shaping term."""
    continued: Tensor
    """0 where s' is terminal and 1 elsewhere (B,); empty without a shaping term."""

    def take(self, index: Tensor) -> "Inputs":
        """Return the inputs of some of the steps."""
        if not len(self.before):
            return replace(self, features=self.features[index])
        return Inputs(
            self.features[index], self.before[index], self.after[index], self.continued[index]
        )


def make_inputs(
    method: Method,
    model: Discriminator,
    spaces: Spaces,
    state: DiscriminatorState,
    steps: Transitions,
) -> Inputs:
    """Compute the inputs of steps; the states of the shaping term are computed for airl alone."""
    features = torch.from_numpy(_input_normaliser(state)(_features(spaces, model, steps)))
    if method != "airl":
        empty = torch.empty(0)
        return Inputs(features, empty, empty, empty)
    normaliser, space = _state_normaliser(state), spaces.observation
    return Inputs(
        features,
        torch.from_numpy(normaliser(encode(space, steps.observations))),
        torch.from_numpy(normaliser(encode(space, steps.next_observations))),
        torch.from_numpy((~steps.terminated).astype(np.float32)),
    )


def score(
    model: Discriminator, parameters: Parameters, inputs: Inputs, shaped: bool
) -> Float[Tensor, " B"]:
    """Compute g(s, a), or f = g + discount h(s') - h(s) if shaped; h of a terminal state is 0."""
    result = network(parameters, "reward", inputs.features)
    if shaped:
        after = network(parameters, "shaping", inputs.after) * inputs.continued
        before = network(parameters, "shaping", inputs.before)
        result = result + model.discount * after - before
    return result


def network(parameters: Parameters, name: str, features: Tensor) -> Float[Tensor, " B"]:
    """Compute the output of the network `name`: linear layers with SiLU between them."""
    hidden = features
    last = sum(key.startswith(f"{name}/weight_") for key in parameters) - 1
    for layer in range(last + 1):
        weights, bias = parameters[f"{name}/weight_{layer}"], parameters[f"{name}/bias_{layer}"]
        hidden = torch.addmm(bias, hidden, weights)
        if layer < last:
            hidden = silu(hidden)
    return hidden.squeeze(-1)


def initial_state(
    method: Method,
    model: Discriminator,
    spaces: Spaces,
    demonstrations: Transitions,
    rng: np.random.Generator,
) -> DiscriminatorState:
    """Return a discriminator whose last layer is 0, normalised by the demonstrations."""
    features = _features(spaces, model, demonstrations)
    states = encode(spaces.observation, demonstrations.observations)
    parameters: dict[str, np.ndarray] = {}
    inputs = {"reward": features.shape[1]}
    if method == "airl":
        inputs["shaping"] = states.shape[1]
    for name, width in inputs.items():
        widths = [width, *model.hidden, 1]
        for layer, (fan_in, fan_out) in enumerate(pairwise(widths)):
            bound = (fan_in**-0.5) * (layer < len(model.hidden))
            weights = rng.uniform(-bound, bound, (fan_in, fan_out))
            parameters[f"{name}/weight_{layer}"] = weights.astype(np.float32)
            parameters[f"{name}/bias_{layer}"] = np.zeros(fan_out, dtype=np.float32)
    moments = {
        f"{order}/{name}": np.zeros_like(array)
        for order in ("first", "second")
        for name, array in parameters.items()
    }
    input_moments = Normaliser.fresh(features.shape[1]).updated(features)
    state_moments = Normaliser.fresh(states.shape[1]).updated(states)
    return DiscriminatorState(
        parameters,
        moments,
        0,
        input_moments.mean,
        input_moments.square,
        input_moments.count,
        state_moments.mean,
        state_moments.square,
    )


def with_rollout(
    state: DiscriminatorState, model: Discriminator, spaces: Spaces, steps: Transitions
) -> DiscriminatorState:
    """Return the state with a rollout added to the moments of its inputs."""
    inputs = _input_normaliser(state).updated(_features(spaces, model, steps))
    states = _state_normaliser(state).updated(encode(spaces.observation, steps.observations))
    return replace(
        state,
        input_mean=inputs.mean,
        input_square=inputs.square,
        input_count=inputs.count,
        state_mean=states.mean,
        state_square=states.square,
    )


def _input_normaliser(state: DiscriminatorState) -> Normaliser:
    return Normaliser(state.input_mean, state.input_square, state.input_count)


def _state_normaliser(state: DiscriminatorState) -> Normaliser:
    return Normaliser(state.state_mean, state.state_square, state.input_count)


def _features(
    spaces: Spaces, model: Discriminator, steps: Transitions
) -> Float[np.ndarray, "B features"]:
    """Return the chosen inputs side by side, categories one-hot, pixels flattened."""
    return raw_features(spaces, RewardModel(inputs=model.inputs, channels=()), *steps)
