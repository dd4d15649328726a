"""The reward ensemble: M independent networks evaluated as one batch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise

import numpy as np
import torch
from gymnasium import spaces
from jaxtyping import Bool, Float, Shaped
from torch import Tensor

from rlhf_core.environments.spaces import Spaces, channel_axis, encode, is_image
from rlhf_core.rewards import RewardFunction
from rlhf_core.rewards.bank import functions, outputs
from rlhf_core.rewards.model import EnsembleState, RewardModel
from rlhf_core.rewards.polynomial import monomial_count, monomials
from rlhf_core.rewards.saved import SavedReward
from rlhf_core.segments import transitions
from rlhf_core.types import Segments

Parameters = Mapping[str, Tensor]

WIDEST = 10.0
"""Standard deviations at which an input is cut off, so that one wild number cannot rule a fit."""


@dataclass(frozen=True)
class RewardEnsemble:
    """A fitted ensemble as a `RewardFunction`, with mean 0 and deviation 1 over the policy's data.

        z_m = (f_m(x) - mean_m) / scale_m
        r   = (mean over m of z_m - pessimism * standard deviation over m of z_m - mean) / scale

    A comparison does not fix a member's offset, so members are brought together before they are
    compared; the last scale keeps a refit from shifting the ground under the value function.
    """

    state: EnsembleState
    spaces: Spaces
    model: RewardModel

    def members(
        self,
        observation: Shaped[np.ndarray, "B *obs"],
        action: Shaped[np.ndarray, "B *act"],
        next_observation: Shaped[np.ndarray, "B *obs"],
        terminated: Bool[np.ndarray, " B"],
    ) -> Float[np.ndarray, "M B"]:
        """Raw reward of each member."""
        features = self.features(observation, action, next_observation, terminated)
        tensors = {n: torch.tensor(np.asarray(p)) for n, p in self.state.parameters.items()}
        with torch.no_grad():
            return forward(tensors, torch.from_numpy(features), self.picture).numpy()

    def __call__(
        self,
        observation: Shaped[np.ndarray, "B *obs"],
        action: Shaped[np.ndarray, "B *act"],
        next_observation: Shaped[np.ndarray, "B *obs"],
        terminated: Bool[np.ndarray, " B"],
    ) -> Float[np.ndarray, " B"]:
        """Normalised reward: the mean over members, less the penalty for their disagreement."""
        raw = self._combined(self.members(observation, action, next_observation, terminated))
        return ((raw - self.state.mean) / self.state.scale).astype(np.float32)

    def _combined(self, raw: Float[np.ndarray, "M B"]) -> Float[np.ndarray, " B"]:
        state = self.state
        z = (raw - state.member_mean[:, None]) / state.member_scale[:, None]
        combined: np.ndarray = z.mean(axis=0)
        if self.model.pessimism:
            combined = combined - self.model.pessimism * z.std(axis=0)
        return combined

    @cached_property
    def _earlier(self) -> list[RewardFunction]:
        """The rewards of the bank."""
        return functions(self.state.bank)

    @property
    def picture(self) -> tuple[int, int, int] | None:
        """Channels, height and width of the image at the head of the features, if there is one."""
        return picture_of(self.spaces, self.model)

    def features(
        self,
        observation: np.ndarray,
        action: np.ndarray,
        next_observation: np.ndarray,
        terminated: np.ndarray,
    ) -> Float[np.ndarray, "B features"]:
        """Standardised inputs of the networks, or standardised outputs of the bank."""
        steps = (observation, action, next_observation, terminated)
        if self.state.bank:
            raw = outputs(self._earlier, *steps)
        else:
            raw = raw_features(self.spaces, self.model, *steps)
        scaled = (raw - self.state.input_mean) / self.state.input_scale
        widest = WIDEST * self.model.input_deviation
        return np.clip(scaled, -widest, widest)

    def segment_features(self, segments: Segments) -> Float[np.ndarray, "S L features"]:
        """Standardised input for every step of every segment."""
        return self.features(*transitions(segments)).reshape(*segments.mask.shape, -1)

    def segment_rewards(self, segments: Segments) -> Float[np.ndarray, "M S L"]:
        """Raw reward of each step of each segment under each member, 0 where padded."""
        rewards = self.members(*transitions(segments)).reshape(-1, *segments.mask.shape)
        return rewards * segments.mask

    def segment_returns(self, segments: Segments) -> Float[np.ndarray, "M S"]:
        """Raw return of each segment under each member, padding left out."""
        return self.segment_rewards(segments).sum(axis=2)

    def mean_returns(self, segments: Segments) -> Float[np.ndarray, " S"]:
        """Return of each segment, the mean over members that are brought to one scale first."""
        scaled = self.segment_returns(segments) / self.state.member_scale[:, None]
        mean: np.ndarray = scaled.mean(axis=0)
        return mean

    def normalised_on(self, reference: Segments) -> "RewardEnsemble":
        """The same ensemble with mean 0 and standard deviation 1 over these steps.

        The mean stays where it was learned if the reward is not centred.
        """
        raw = self.members(*transitions(reference))[:, reference.mask.ravel()]
        centred = float(self.model.centred)
        together = replace(
            self.state,
            member_mean=centred * raw.mean(axis=1).astype(np.float64),
            member_scale=_safe(raw.std(axis=1).astype(np.float64)),
        )
        combined = replace(self, state=together)._combined(raw)
        scale = float(_safe(combined.std(keepdims=True))[0])
        return replace(
            self, state=replace(together, mean=centred * float(combined.mean()), scale=scale)
        )


def _safe(scale: np.ndarray) -> np.ndarray:
    """A reward that never varies is not blown up."""
    return np.where(scale > 1e-6, scale, 1.0)


def picture_of(spaces_: Spaces, model: RewardModel) -> tuple[int, int, int] | None:
    """Channels, height and width of what the convolutions read: all image inputs stacked."""
    if not model.channels or not is_image(spaces_.observation):
        return None
    images = [name for name in model.inputs if name in ("observation", "next_observation")]
    if not images:
        return None
    shape = list(spaces_.observation.shape or ())
    channels = shape.pop(channel_axis(spaces_.observation))
    return channels * len(images), shape[0], shape[1]


def raw_features(
    spaces_: Spaces,
    model: RewardModel,
    observation: np.ndarray,
    action: np.ndarray,
    next_observation: np.ndarray,
    terminated: np.ndarray,
) -> Float[np.ndarray, "B features"]:
    """The chosen inputs side by side, categories one-hot, before standardisation.

    Where convolutions read them, images come first, channel by channel.
    """
    flag = spaces.Discrete(2)
    parts = {
        "observation": (spaces_.observation, observation),
        "next_observation": (spaces_.observation, next_observation),
        "action": (spaces_.action, action),
        "terminated": (flag, terminated),
    }
    if picture_of(spaces_, model) is not None:
        for name in ("observation", "next_observation"):
            space, images = parts[name]
            parts[name] = (space, np.moveaxis(images, 1 + channel_axis(space), 1))
    chosen: Sequence[str] = [name for name in parts if name in model.inputs]
    return np.concatenate([encode(*parts[name]) for name in chosen], axis=1)


def restore(
    state: EnsembleState | None,
    model: RewardModel,
    spaces_: Spaces,
    reference: Segments,
    rng: np.random.Generator,
    bank: tuple[SavedReward, ...] = (),
) -> RewardEnsemble:
    """The ensemble of a state, or a fresh one (of a bank) where nothing was fitted yet."""
    if state is None:
        return initial(model, spaces_, reference, rng, bank)
    return RewardEnsemble(state, spaces_, model)


def initial(
    model: RewardModel,
    spaces_: Spaces,
    reference: Segments,
    rng: np.random.Generator,
    bank: tuple[SavedReward, ...] = (),
) -> RewardEnsemble:
    """A fresh ensemble with random weights, its inputs standardised on these segments.

    Weights are uniform in +-1/sqrt(fan in), each member drawn apart (PyTorch's default for a
    linear layer). Pixels are not standardised: they are shares of full brightness already. With
    `family: bank` the members are draws from the prior over mixtures of the bank's rewards.
    """
    if model.family == "bank":
        return _of_bank(bank, model, spaces_, reference, rng)
    raw = raw_features(spaces_, model, *transitions(reference))[reference.mask.ravel()]
    mean, scale = raw.mean(axis=0), raw.std(axis=0)
    # A feature that never moved yet must not explode when it first does.
    scale = np.where(scale < 1e-3, 1.0, scale / model.input_deviation).astype(np.float32)
    parameters: dict[str, np.ndarray] = {}

    def draw(name: str, shape: tuple[int, ...], fan_in: int) -> None:
        bound = 1 / np.sqrt(fan_in)
        parameters[name] = rng.uniform(-bound, bound, (model.members, *shape)).astype(np.float32)

    width = raw.shape[1]
    picture = picture_of(spaces_, model)
    if picture is not None:
        pixels = int(np.prod(picture))
        mean[:pixels], scale[:pixels] = 0.0, 1.0
    if model.family in ("linear", "squares"):
        count = monomial_count(width, 1 if model.family == "linear" else 2)
        draw("polynomial", (count,), count)
    else:
        if picture is not None:
            channels, *size = picture
            for layer, out in enumerate(model.channels):
                draw(f"conv_{layer}", (out, channels, 3, 3), 9 * channels)
                draw(f"conv_bias_{layer}", (out,), 9 * channels)
                channels, size = out, [-(-side // 2) for side in size]
            width += channels * size[0] * size[1] - pixels
        for layer, (fan_in, fan_out) in enumerate(pairwise([width, *model.hidden, 1])):
            draw(f"weight_{layer}", (fan_in, fan_out), fan_in)
            draw(f"bias_{layer}", (1, fan_out), fan_in)
    state = EnsembleState(
        parameters=parameters,
        input_mean=mean,
        input_scale=scale,
        member_mean=np.zeros(model.members),
        member_scale=np.ones(model.members),
    )
    return RewardEnsemble(state, spaces_, model)


def _of_bank(
    bank: tuple[SavedReward, ...],
    model: RewardModel,
    spaces_: Spaces,
    reference: Segments,
    rng: np.random.Generator,
) -> RewardEnsemble:
    """Draws from the prior over mixtures of a bank's rewards, on the scale of these segments."""
    from rlhf_core.rewards.mixture import MEMBERS, prior_members

    steps = outputs(functions(bank), *transitions(reference))[reference.mask.ravel()]
    blank = EnsembleState(
        parameters={},
        input_mean=steps.mean(axis=0),
        input_scale=_safe(steps.std(axis=0)),
        member_mean=np.zeros(MEMBERS),
        member_scale=np.ones(MEMBERS),
        bank=bank,
    )
    features = RewardEnsemble(blank, spaces_, model).segment_features(reference)
    members = prior_members(features * reference.mask[..., None], rng)
    return RewardEnsemble(replace(blank, parameters={"polynomial": members}), spaces_, model)


def forward(
    parameters: Parameters,
    features: Float[Tensor, "B features"],
    picture: tuple[int, int, int] | None = None,
) -> Float[Tensor, "M B"]:
    """Raw rewards of all members, polynomials or networks.

    One batched product a layer, one grouped convolution a layer.
    """
    if "polynomial" in parameters:
        weights = parameters["polynomial"]
        return weights @ monomials(features, weights.shape[1]).T
    hidden = features
    if picture is not None:
        hidden = _seen(parameters, features, picture)
    last = sum(name.startswith("weight_") for name in parameters) - 1
    for layer in range(last + 1):
        hidden = torch.matmul(hidden, parameters[f"weight_{layer}"]) + parameters[f"bias_{layer}"]
        if layer < last:
            hidden = torch.nn.functional.silu(hidden)
    return hidden.squeeze(-1)


def _seen(parameters: Parameters, features: Tensor, picture: tuple[int, int, int]) -> Tensor:
    """Features (M, B, ...), the image at their head replaced by what convolutions make of it."""
    channels, height, width = picture
    batch, pixels = len(features), channels * height * width
    members = len(parameters["weight_0"])
    image = features[:, :pixels].reshape(batch, channels, height, width)
    hidden = image.repeat(1, members, 1, 1)
    for layer in range(sum(name.startswith("conv_bias_") for name in parameters)):
        kernel, bias = parameters[f"conv_{layer}"], parameters[f"conv_bias_{layer}"]
        hidden = torch.nn.functional.conv2d(
            hidden, kernel.flatten(0, 1), bias.flatten(), stride=2, padding=1, groups=members
        )
        hidden = torch.nn.functional.silu(hidden)
    convolved = hidden.reshape(batch, members, -1).transpose(0, 1)
    rest = features[:, pixels:].expand(members, -1, -1)
    return torch.cat([convolved, rest], dim=2)
