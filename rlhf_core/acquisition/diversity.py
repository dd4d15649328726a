"""Choosing questions that are unlike each other."""

import numpy as np
from jaxtyping import Float, Int

from rlhf_core.questions import Queries
from rlhf_core.types import Segments


def segment_features(segments: Segments) -> Float[np.ndarray, "S F"]:
    """Mean and deviation of a clip's observations and actions over its real steps, standardised."""
    mask = segments.mask[:, :, None].astype(np.float64)
    count = np.maximum(mask.sum(axis=1), 1)
    parts = []
    for values in (segments.observations[:, :-1], segments.actions):
        flat = values.reshape(*segments.mask.shape, -1).astype(np.float64)
        mean = (flat * mask).sum(axis=1) / count
        square = (np.square(flat - mean[:, None]) * mask).sum(axis=1) / count
        parts += [mean, np.sqrt(square)]
    features = np.concatenate(parts, axis=1)
    scale = features.std(axis=0)
    # What never varies says nothing of how clips differ.
    return (features - features.mean(axis=0)) / np.where(scale > 1e-9, scale, np.inf)


def question_features(segments: Segments, candidates: Queries) -> Float[np.ndarray, "C F"]:
    """Features of a question: those of its clips, in whatever order they are shown.

    Mean over the clips and deviation over them, so that a pair and its mirror image are one.
    """
    clips = segment_features(segments)[candidates.items]
    return np.concatenate([clips.mean(axis=1), clips.std(axis=1)], axis=1)


def k_centre(features: Float[np.ndarray, "C F"], count: int, first: int) -> Int[np.ndarray, " N"]:
    """Greedy k-centre: again and again the point that is farthest from all that were chosen.

    Within a factor of two of the smallest covering radius (Gonzalez 1985,
    doi:10.1016/0304-3975(85)90224-5; for active learning https://arxiv.org/abs/1708.00489).

    Args:
        features: of the candidates.
        count: N, at most C.
        first: the candidate to begin with.
    """
    chosen = np.empty(count, dtype=np.int64)
    nearest = np.full(len(features), np.inf)
    following = first
    for index in range(count):
        chosen[index] = following
        nearest = np.minimum(nearest, np.square(features - features[following]).sum(axis=1))
        nearest[following] = -1.0
        following = int(nearest.argmax())
    return chosen


def best_apart(
    scores: Float[np.ndarray, " C"],
    features: Float[np.ndarray, "C F"],
    count: int,
    radius: float,
) -> Int[np.ndarray, " N"]:
    """The best ones, none nearer than `radius` to a better one while there are others.

    Distances are root mean squares over features, so 1 is a standard deviation in each. Where too
    few are left, the best of those that were passed over fill up.
    """
    order = np.argsort(-scores, kind="stable")
    left = np.ones(len(scores), dtype=bool)
    chosen: list[int] = []
    while len(chosen) < count and left.any():
        best = int(order[left[order]][0])
        chosen.append(best)
        distance = np.sqrt(np.square(features - features[best]).mean(axis=1))
        left &= distance >= radius
        left[best] = False
    passed = order[~np.isin(order, chosen)]
    return np.concatenate([chosen, passed[: count - len(chosen)]]).astype(np.int64)


def telling(
    scores: Float[np.ndarray, " C"],
    segments: Segments,
    candidates: Queries,
    count: int,
    spread: float,
    rng: np.random.Generator,
) -> Queries:
    """The `count` most telling candidates, in random order.

    Single clips are drawn in proportion to their score instead: the best of them are all alike, of
    the one corner that the members know least, while two clips of a pair differ by themselves.
    """
    if candidates.items.shape[1] == 1:
        # The largest of scaled exponential draws are a sample without replacement.
        scores = np.maximum(scores - min(scores.min(), 0.0), 1e-12) / rng.exponential(
            size=len(scores)
        )
    chosen = np.argsort(-scores, kind="stable")[:count]
    if spread:
        chosen = best_apart(scores, question_features(segments, candidates), count, spread)
    return Queries(candidates.items[rng.permutation(chosen)])
