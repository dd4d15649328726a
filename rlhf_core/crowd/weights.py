"""How much the judgements of each worker count in a fit."""

import numpy as np
from jaxtyping import Float, Int

from rlhf_core.answers import Ratings
from rlhf_core.judgements import EXPERT
from rlhf_core.labels import Workers

SHARED = 2
"""Clips that two raters must have in common, and more, to be compared."""


def competence_weights(
    worker: Int[np.ndarray, " R"], workers: Workers | None
) -> Float[np.ndarray, " R"]:
    """Weight of each judgement by how far its worker is above chance.

        weight = max(2 competence - 1, 0)

    The expert counts fully, and so does everybody whose competence is not modelled.
    """
    weight = np.ones(len(worker))
    if workers is not None:
        above_chance = np.clip(2 * workers.competence - 1, 0, 1)
        known = np.isin(worker, workers.worker)
        weight[known] = above_chance[np.searchsorted(workers.worker, worker[known])]
    return weight


def rating_weights(ratings: Ratings) -> Float[np.ndarray, " R"]:
    """Weight of each rating by how far its worker agrees with what the workers have in common.

    The weights are the first eigenvector of the workers' correlations on the clips that they share,
    its largest entry 1 and negative entries 0. Its sign is the expert's where there is one, so that
    a majority of inverters cannot turn it, and else that of its sum. A worker who shares fewer than
    three clips with everybody counts fully, and so does the expert.
    """
    worker_id, worker = np.unique(ratings.worker, return_inverse=True)
    if len(worker_id) < 2:
        return np.ones(len(ratings))
    question = np.stack([ratings.segment, ratings.step], axis=1)
    _, clip = np.unique(question, axis=0, return_inverse=True)
    shape = (len(worker_id), int(clip.max()) + 1)
    rated, value = np.zeros(shape), np.zeros(shape)
    rated[worker, clip.ravel()] = 1.0
    value[worker, clip.ravel()] = ratings.value
    correlation, shared = _correlations(value, rated)
    _, vectors = np.linalg.eigh(correlation)
    common, expert = vectors[:, -1], worker_id == EXPERT
    side = common[expert].sum() or common.sum()
    weight = np.clip(common * (np.sign(side) or 1.0), 0, None)
    weight = weight / max(weight.max(), 1e-9)
    alone = (shared > SHARED).sum(axis=1) == (shared.diagonal() > SHARED)
    return np.where(expert | alone, 1.0, weight)[worker]


def _correlations(
    value: Float[np.ndarray, "W C"], rated: Float[np.ndarray, "W C"]
) -> tuple[Float[np.ndarray, "W W"], Float[np.ndarray, "W W"]]:
    """Pearson correlation of each two workers over the clips that both rated, and their number.

    0 where they share too few or one never varies on them; `value` is 0 where nothing was rated.
    """
    shared = rated @ rated.T
    count = np.maximum(shared, 1.0)
    # Row i, column j: moments of worker i over the clips that j rated as well.
    mean = value @ rated.T / count
    variance = np.maximum(np.square(value) @ rated.T / count - np.square(mean), 0.0)
    covariance = value @ value.T / count - mean * mean.T
    scale = np.sqrt(variance * variance.T)
    known = (shared > SHARED) & (scale > 1e-9)
    return np.where(known, covariance / np.maximum(scale, 1e-9), 0.0), shared
