"""More out of few comparisons: temporal crops and pseudo-labels, by SURF.

Park et al. 2022, https://arxiv.org/abs/2203.10050.
"""

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from rlhf_core.types import Segments


def random_windows(
    mask: Float[Tensor, "n K L"], share: float, rng: np.random.Generator
) -> Float[Tensor, "n K L"]:
    """Random windows, of one length for the segments of one observation.

    They are cut out of the real steps, so that the shortest clip bounds the length.

    Args:
        mask: 1 at real steps, which come first.
        share: the shortest window, as a share of the steps.
        rng: draws lengths and beginnings.
    """
    real = mask.numpy().sum(axis=2, keepdims=True).astype(np.int64)
    longest = real.min(axis=1, keepdims=True)
    shortest = np.maximum(np.round(share * longest), 1).astype(np.int64)
    length = rng.integers(shortest, longest, endpoint=True)
    start = rng.integers(0, real - length, endpoint=True)
    step = np.arange(mask.shape[2])
    return torch.from_numpy(((step >= start) & (step < start + length)).astype(np.float32))


class PseudoLabels:
    """Unlabelled pairs whose order a member is sure of teach it as if they were labelled."""

    def __init__(
        self, features: Float[np.ndarray, "S L features"], unlabelled: Segments, confidence: float
    ) -> None:
        """The clips that pairs are drawn from.

        Args:
            features: of the clips, as the networks read them.
            unlabelled: the clips.
            confidence: probability of an order from which on a member counts as sure.
        """
        self._features = torch.from_numpy(features)
        self._mask = torch.from_numpy(np.array(unlabelled.mask, dtype=np.float32))
        self._confidence = confidence

    def losses(
        self,
        count: int,
        rewards_of: Callable[[Tensor], Tensor],
        share: float,
        rng: np.random.Generator,
    ) -> tuple[Float[Tensor, "M n"], Float[Tensor, "M n"]]:
        """Loss and weight of `count` random pairs under each member.

            loss = softplus(-sign(d) d'),   d, d' the predicted advantage of whole and cropped clips

        Args:
            count: n, pairs.
            rewards_of: rewards (M, n, K, L) of features (n, K, L, features).
            share: the shortest crop, as a share of the steps.
            rng: draws pairs and crops.
        """
        pair = torch.from_numpy(rng.integers(len(self._mask), size=(count, 2)))
        rewards = rewards_of(self._features[pair]) * self._mask[pair]
        with torch.no_grad():
            whole = rewards.sum(dim=3)
            advantage = whole[:, :, 1] - whole[:, :, 0]
            sure = torch.sigmoid(advantage.abs()) > self._confidence
        cropped = (rewards * random_windows(self._mask[pair], share, rng)).sum(dim=3)
        sign = torch.sign(advantage)
        loss = torch.nn.functional.softplus(-sign * (cropped[:, :, 1] - cropped[:, :, 0]))
        return loss, sure.float()
