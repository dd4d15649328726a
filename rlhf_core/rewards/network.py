"""The reward ensemble: M independent multilayer perceptrons evaluated as one batch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import torch
from gymnasium import spaces
from jaxtyping import Bool, Float, Shaped
from torch import Tensor

from rlhf_core.environments.factory import Spaces
from rlhf_core.environments.spaces import encode
from rlhf_core.rewards.model import EnsembleState, Input, RewardModel
from rlhf_core.types import Segments

Parameters = Mapping[str, Tensor]


@dataclass(frozen=True)
class RewardEnsemble:
    """A fitted ensemble as a `RewardFunction`: the mean over members, mean 0 and deviation 1.

    r(s, a, s') = (mean over m of f_m(x) - mean) / scale, with mean and scale over recent policy
    data, so that refitting does not shift the scale under the value function.
    """

    state: EnsembleState
    spaces: Spaces
    inputs: Sequence[Input] = ("observation", "action")

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
            return forward(tensors, torch.from_numpy(features)).numpy()

    def __call__(
        self,
        observation: Shaped[np.ndarray, "B *obs"],
        action: Shaped[np.ndarray, "B *act"],
        next_observation: Shaped[np.ndarray, "B *obs"],
        terminated: Bool[np.ndarray, " B"],
    ) -> Float[np.ndarray, " B"]:
        """Normalised reward, the mean over members."""
        raw = self.members(observation, action, next_observation, terminated).mean(axis=0)
        return ((raw - self.state.mean) / self.state.scale).astype(np.float32)

    def features(
        self,
        observation: np.ndarray,
        action: np.ndarray,
        next_observation: np.ndarray,
        terminated: np.ndarray,
    ) -> Float[np.ndarray, "B features"]:
        """Standardised input of the networks."""
        raw = raw_features(
            self.spaces, self.inputs, observation, action, next_observation, terminated
        )
        return (raw - self.state.input_mean) / self.state.input_scale

    def segment_features(self, segments: Segments) -> Float[np.ndarray, "S L features"]:
        """Standardised input for every step of every segment."""
        return self.features(*transitions(segments)).reshape(*segments.mask.shape, -1)

    def segment_returns(self, segments: Segments) -> Float[np.ndarray, "M S"]:
        """Raw return of each segment under each member, padding left out."""
        rewards = self.members(*transitions(segments)).reshape(-1, *segments.mask.shape)
        return (rewards * segments.mask).sum(axis=2)

    def normalised_on(self, reference: Segments) -> "RewardEnsemble":
        """The same ensemble with mean 0 and standard deviation 1 over these steps."""
        raw = self.members(*transitions(reference)).mean(axis=0)[reference.mask.ravel()]
        scale = float(raw.std())
        return replace(
            self,
            state=replace(self.state, mean=float(raw.mean()), scale=scale if scale > 1e-6 else 1.0),
        )


def transitions(segments: Segments) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """All steps of all segments as a flat batch: observation, action, next, terminated."""
    observations = segments.observations

    def flat(array: np.ndarray) -> np.ndarray:
        return array.reshape(-1, *array.shape[2:])

    return (
        flat(observations[:, :-1]),
        flat(segments.actions),
        flat(observations[:, 1:]),
        flat(segments.terminated),
    )


def raw_features(
    spaces_: Spaces,
    inputs: Sequence[Input],
    observation: np.ndarray,
    action: np.ndarray,
    next_observation: np.ndarray,
    terminated: np.ndarray,
) -> Float[np.ndarray, "B features"]:
    """The chosen inputs side by side, categories one-hot, before standardisation."""
    flag = spaces.Discrete(2)
    parts = {
        "observation": (spaces_.observation, observation),
        "action": (spaces_.action, action),
        "next_observation": (spaces_.observation, next_observation),
        "terminated": (flag, terminated),
    }
    return np.concatenate([encode(*parts[name]) for name in inputs], axis=1)


def restore(
    state: EnsembleState | None,
    model: RewardModel,
    spaces_: Spaces,
    reference: Segments,
    rng: np.random.Generator,
) -> RewardEnsemble:
    """The ensemble of a state, or a fresh one where nothing was fitted yet."""
    if state is None:
        return initial(model, spaces_, reference, rng)
    return RewardEnsemble(state, spaces_, model.inputs)


def initial(
    model: RewardModel, spaces_: Spaces, reference: Segments, rng: np.random.Generator
) -> RewardEnsemble:
    """A fresh ensemble with random weights, its inputs standardised on these segments.

    Weights are uniform in +-1/sqrt(fan in), each member drawn apart (PyTorch's default for a
    linear layer).
    """
    raw = raw_features(spaces_, model.inputs, *transitions(reference))[reference.mask.ravel()]
    scale = raw.std(axis=0)
    sizes = [raw.shape[1], *model.hidden, 1]
    parameters: dict[str, np.ndarray] = {}
    for layer, (fan_in, fan_out) in enumerate(pairwise(sizes)):
        bound = 1 / np.sqrt(fan_in)
        for name, rows in (("weight", fan_in), ("bias", 1)):
            shape = (model.members, rows, fan_out)
            parameters[f"{name}_{layer}"] = rng.uniform(-bound, bound, shape).astype(np.float32)
    state = EnsembleState(
        parameters=parameters,
        input_mean=raw.mean(axis=0),
        # A feature that never moved yet must not explode when it first does.
        input_scale=np.where(scale < 1e-3, 1.0, scale).astype(np.float32),
    )
    return RewardEnsemble(state, spaces_, model.inputs)


def forward(parameters: Parameters, features: Float[Tensor, "... features"]) -> Tensor:
    """Raw rewards (M, B) of features (B, in) or (M, B, in): one batched product a layer."""
    hidden = features
    last = len(parameters) // 2 - 1
    for layer in range(last + 1):
        hidden = torch.matmul(hidden, parameters[f"weight_{layer}"]) + parameters[f"bias_{layer}"]
        if layer < last:
            hidden = torch.nn.functional.silu(hidden)
    return hidden.squeeze(-1)
