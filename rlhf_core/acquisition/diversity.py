"""Choosing questions that are informative and differ from each other."""

import numpy as np
from jaxtyping import Float, Int

from rlhf_core.questions import Queries
from rlhf_core.types import Segments


def segment_features(segments: Segments) -> Float[np.ndarray, "S F"]:
    """Mean and standard deviation of each clip's observations and actions, standardised over clips.

    Padded steps do not count.
    """
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
    # A constant feature does not distinguish clips.
    return (features - features.mean(axis=0)) / np.where(scale > 1e-9, scale, np.inf)


def question_features(segments: Segments, candidates: Queries) -> Float[np.ndarray, "C F"]:
    """Features of each question: mean and standard deviation over the features of its clips.

    They do not depend on the order of the clips, so a pair and its mirror image are equal.
    """
    clips = segment_features(segments)[candidates.items]
    return np.concatenate([clips.mean(axis=1), clips.std(axis=1)], axis=1)


def k_centre(features: Float[np.ndarray, "C F"], count: int, first: int) -> Int[np.ndarray, " N"]:
    """Choose points by greedy k-centre: each is the one farthest from all that were chosen before.

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


def select_diverse(
    scores: Float[np.ndarray, " C"],
    features: Float[np.ndarray, "C F"],
    count: int,
    diversity: float,
) -> Int[np.ndarray, " N"]:
    """Choose the highest scores, each at least `diversity` away from all that were chosen before.

    Distances are root mean squares over features, so 1 is a standard deviation in each. Where fewer
    than `count` candidates remain, the highest scores among the rejected ones are added.
    """
    order = np.argsort(-scores, kind="stable")
    left = np.ones(len(scores), dtype=bool)
    chosen: list[int] = []
    while len(chosen) < count and left.any():
        best = int(order[left[order]][0])
        chosen.append(best)
        distance = np.sqrt(np.square(features - features[best]).mean(axis=1))
        left &= distance >= diversity
        left[best] = False
    passed = order[~np.isin(order, chosen)]
    return np.concatenate([chosen, passed[: count - len(chosen)]]).astype(np.int64)


def select_informative(
    scores: Float[np.ndarray, " C"],
    segments: Segments,
    candidates: Queries,
    count: int,
    diversity: float,
    rng: np.random.Generator,
) -> Queries:
    """Choose the `count` candidates of highest score, in random order.

    Single clips are drawn in proportion to their score instead, because the highest scores belong
    to similar clips; the two clips of a pair differ anyway.

    Args:
        scores: of the candidates.
        segments: the segments that the candidates point into.
        candidates: positions of their segments.
        count: N, at most C.
        diversity: least distance between two chosen questions, as in `select_diverse`; 0: none.
        rng: the source of randomness.
    """
    if candidates.items.shape[1] == 1:
        # The largest of scaled exponential draws are a sample without replacement.
        scores = np.maximum(scores - min(scores.min(), 0.0), 1e-12) / rng.exponential(
            size=len(scores)
        )
    chosen = np.argsort(-scores, kind="stable")[:count]
    if diversity:
        chosen = select_diverse(scores, question_features(segments, candidates), count, diversity)
    return Queries(candidates.items[rng.permutation(chosen)])
