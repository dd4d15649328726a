"""A policy of Stable-Baselines3 in fused form."""

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.preprocessing import is_image_space
from stable_baselines3.common.torch_layers import FlattenExtractor
from stable_baselines3.common.utils import obs_as_tensor

from rlhf_core.fused.heads import Head
from rlhf_core.fused.layout import Memory, head_of, shape_of
from rlhf_core.fused.network import Network


class Engine:
    """Parameters of a policy that is covered, its distribution, and memory to work in."""

    def __init__(self, memory: Memory, head: Head) -> None:
        self.memory, self.head = memory, head
        self.networks: dict[int, Network] = {}
        """By batch size."""

    @classmethod
    def of(cls, policy: ActorCriticPolicy, former: "Engine | None" = None) -> "Engine | None":
        """The policy with the parameters it has now; None where `shape_of` does not cover it.

        The memory of a former engine is used again if it was the same policy's.
        """
        shape, head = shape_of(policy), head_of(policy)
        if shape is None or head is None:
            return None
        if former is None or former.memory.policy is not policy:
            former = cls(Memory(policy, shape, head.deviations), head)
        former.memory.read()
        return former

    def network(self, batch: int) -> Network:
        """Working memory for batches of this size."""
        if batch not in self.networks:
            self.networks[batch] = Network(self.memory.shape, batch)
        return self.networks[batch]

    def features(self, observations: np.ndarray) -> np.ndarray:
        """What the networks read of observations, and a column of ones."""
        policy = self.memory.policy
        extractor, space = policy.features_extractor, policy.observation_space
        if (
            type(extractor) is FlattenExtractor
            and isinstance(space, spaces.Box)
            and not is_image_space(space)
        ):
            plain = observations.reshape(len(observations), -1)
        else:
            with torch.no_grad():
                tensor = obs_as_tensor(observations, policy.device)
                extracted = policy.extract_features(tensor)
            assert isinstance(extracted, torch.Tensor), "the extractor is shared"
            plain = extracted.numpy()
        features = np.ones((len(plain), plain.shape[1] + 1), dtype=np.float32)
        features[:, :-1] = plain
        return features

    def act(self, observations: np.ndarray, deterministic: bool) -> np.ndarray:
        """The likeliest actions (B, act), or actions drawn from torch's generator."""
        parts = self.memory.parts
        network = self.network(len(observations))
        outputs, _ = network.forward(parts, self.features(observations))
        if deterministic:
            return self.head.mode(outputs)
        return self.head.sample(outputs, parts.deviations).actions
