"""From clicks to the relevance of slates, with the influence of positions taken out.

The label of a slate is the mean over its positions of an estimate of each item's relevance, which
is what would be clicked if all of it were examined.
"""

from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Int

from rlhf_core.clicks.log import Impressions

Correction = Literal["none", "ips", "doubly_robust"]
RIDGE = 1.0
"""Penalty of the regression, in impressions."""


def clicks_alone(clicked: Bool[np.ndarray, "B K"]) -> Float[np.ndarray, " B"]:
    """The naive label: a click is worth the same wherever it was made.

    mean over k of c_k
    """
    return clicked.mean(axis=1)


def inverse_propensity(
    clicked: Bool[np.ndarray, "B K"], propensity: Float[np.ndarray, " K"]
) -> Float[np.ndarray, " B"]:
    """Weigh each click by the inverse of its position's propensity (IPS).

        mean over k of c_k / theta_k

    Without bias if the propensities are right (Joachims et al. 2017,
    https://arxiv.org/abs/1608.04468).
    """
    return (clicked / propensity).mean(axis=1)


def doubly_robust(
    items: Int[np.ndarray, "B K"],
    clicked: Bool[np.ndarray, "B K"],
    propensity: Float[np.ndarray, " K"],
    predicted: Float[np.ndarray, "B K"],
) -> Float[np.ndarray, " B"]:
    """Begin with a prediction of relevance and add its corrected error (Oosterhuis 2023,
    section 5, https://arxiv.org/abs/2203.17118).

        mean over k of m_k + (c_k - theta_k m_k) / rho_i,   rho_i = mean of theta where item i stood

    Right on average over the positions of an item if the prediction is right, or if the
    propensities are. An item that stood at several positions is weighed by no more than the inverse
    of their mean, so the variance is below that of `inverse_propensity`; one that always stood at
    the same position is weighed as there.

    Args:
        items: from 0, at each position.
        clicked: at each position.
        propensity: theta, of each position.
        predicted: m, relevance of each item.
    """
    expected = np.broadcast_to(propensity, clicked.shape)
    counts = np.maximum(np.bincount(items.ravel()), 1)
    rho = np.bincount(items.ravel(), weights=expected.ravel()) / counts
    return (predicted + (clicked - expected * predicted) / rho[items]).mean(axis=1)


def fit_relevance(
    impressions: Impressions,
    positive: Bool[np.ndarray, "B K"],
    propensity: Float[np.ndarray, " K"],
    items: int,
) -> Float[np.ndarray, "items weights"]:
    """Fit the relevance of each item, linear in the context, to clicks.

        minimise over w_i: sum of (c - theta_k w_i . (1, x))^2 + |w_i|^2

    Args:
        impressions: slates, and the contexts in which they were shown.
        positive: the clicks that count.
        propensity: theta, of each position.
        items: N, how many there are.
    """
    inputs = _with_one(impressions.context)
    weights = np.empty((items, inputs.shape[1]))
    scaled = np.broadcast_to(propensity, positive.shape)
    for item in range(items):
        row, position = np.nonzero((impressions.items == item) & impressions.present[:, None])
        x = inputs[row] * scaled[row, position][:, None]
        gram = x.T @ x + RIDGE * np.eye(x.shape[1])
        weights[item] = np.linalg.solve(gram, x.T @ positive[row, position])
    return weights


def predicted_relevance(
    weights: Float[np.ndarray, "items weights"], impressions: Impressions
) -> Float[np.ndarray, "B K"]:
    """Predict the relevance of every item shown, between 0 and 1."""
    linear = np.einsum("bf,bkf->bk", _with_one(impressions.context), weights[impressions.items])
    return np.clip(linear, 0.0, 1.0)


def labels(
    impressions: Impressions,
    positive: Bool[np.ndarray, "B K"],
    propensity: Float[np.ndarray, " K"],
    weights: Float[np.ndarray, "items weights"],
    correction: Correction,
) -> Float[np.ndarray, " B"]:
    """Compute the label of every slate; 0 where nobody was there to see it.

    Args:
        impressions: the slates.
        positive: the clicks that count.
        propensity: theta, of each position.
        weights: from `fit_relevance`.
        correction: how positions are taken out.
    """
    if correction == "none":
        label = clicks_alone(positive)
    elif correction == "ips":
        label = inverse_propensity(positive, propensity)
    else:
        predicted = predicted_relevance(weights, impressions)
        label = doubly_robust(impressions.items, positive, propensity, predicted)
    return np.where(impressions.present, label, 0.0)


def _with_one(context: Float[np.ndarray, "B features"]) -> Float[np.ndarray, "B weights"]:
    return np.concatenate([np.ones((len(context), 1)), context], axis=1)
