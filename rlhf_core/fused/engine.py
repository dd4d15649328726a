"""A policy of Stable-Baselines3 in fused form."""

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.preprocessing import is_image_space
from stable_baselines3.common.torch_layers import FlattenExtractor
from stable_baselines3.common.utils import obs_as_tensor

from rlhf_core.fused.heads import Head
from rlhf_core.fused.layout import Buffers, head_of, shape_of
from rlhf_core.fused.network import Network


class Engine:
    """Parameters and distribution of a covered policy, with preallocated arrays."""

    def __init__(self, buffers: Buffers, head: Head) -> None:
        self.buffers, self.head = buffers, head
        self.networks: dict[int, Network] = {}
        """Networks by batch size."""

    @classmethod
    def of(cls, policy: ActorCriticPolicy, former: "Engine | None" = None) -> "Engine | None":
        """Return an engine with the policy's current parameters, or None if it is not covered.

        The former engine is used again if it belongs to the same policy.
        """
        shape, head = shape_of(policy), head_of(policy)
        if shape is None or head is None:
            return None
        if former is None or former.buffers.policy is not policy:
            former = cls(Buffers(policy, shape, head.log_std_size), head)
        former.buffers.read()
        return former

    def network(self, batch: int) -> Network:
        """Return the network for batches of this size."""
        if batch not in self.networks:
            self.networks[batch] = Network(self.buffers.shape, batch)
        return self.networks[batch]

    def features(self, observations: np.ndarray) -> np.ndarray:
        """Return the extracted features of observations, followed by a column of ones."""
        policy = self.buffers.policy
        extractor, space = policy.features_extractor, policy.observation_space
        if (
            type(extractor) is FlattenExtractor
            and isinstance(space, spaces.Box)
            and not is_image_space(space)
        ):
            extracted = observations.reshape(len(observations), -1)
        else:
            with torch.no_grad():
                tensor = obs_as_tensor(observations, policy.device)
                output = policy.extract_features(tensor)
            assert isinstance(output, torch.Tensor), "the extractor is shared"
            extracted = output.numpy()
        features = np.ones((len(extracted), extracted.shape[1] + 1), dtype=np.float32)
        features[:, :-1] = extracted
        return features

    def act(self, observations: np.ndarray, deterministic: bool) -> np.ndarray:
        """Return the mode of the actions (B, act), or actions drawn from torch's generator."""
        parts = self.buffers.parts
        network = self.network(len(observations))
        outputs, _ = network.forward(parts, self.features(observations))
        if deterministic:
            return self.head.mode(outputs)
        return self.head.sample(outputs, parts.log_std).actions
