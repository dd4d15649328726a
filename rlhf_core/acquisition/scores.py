"""How informative the answer to a question is expected to be, by the ensemble's predictions."""

import numpy as np
from jaxtyping import Float, Int


def choice_probabilities(
    returns: Float[np.ndarray, "M S"], items: Int[np.ndarray, "C K"]
) -> Float[np.ndarray, "M C K"]:
    """P(k is chosen of K) = exp(R_k) / sum of exp(R), under each member; K = 2 is Bradley-Terry."""
    scores = returns[:, items]
    weights = np.exp(scores - scores.max(axis=2, keepdims=True))
    probabilities: np.ndarray = weights / weights.sum(axis=2, keepdims=True)
    return probabilities


def entropy(probabilities: Float[np.ndarray, "... K"]) -> Float[np.ndarray, " ..."]:
    """-sum of p log p over the last axis, in nats; 0 log 0 is 0."""
    logs = np.log(np.where(probabilities > 0, probabilities, 1.0))
    total: np.ndarray = -(probabilities * logs).sum(axis=-1)
    return total


def rating_variance(
    returns: Float[np.ndarray, "M S"], items: Int[np.ndarray, "C 1"]
) -> Float[np.ndarray, " C"]:
    """Variance over members of a clip's rank among all clips, for questions that ask for a rating.

        place_m = (2 rank_m - S + 1) / sqrt((S^2 - 1) / 3)

    A member's places have mean 0 and standard deviation 1 over clips. Returns have no common scale
    across members, and far from the data they differ without bound; places do not.
    """
    count = returns.shape[1]
    rank = returns.argsort(axis=1, kind="stable").argsort(axis=1, kind="stable")
    place = (2 * rank - count + 1) / np.sqrt(max(count**2 - 1, 1) / 3)
    variance: np.ndarray = place.var(axis=0)[items[:, 0]]
    return variance


def disagreement(
    returns: Float[np.ndarray, "M S"], items: Int[np.ndarray, "C K"]
) -> Float[np.ndarray, " C"]:
    """Variance over members of the choice probabilities, summed over the K choices."""
    if items.shape[1] == 1:
        return rating_variance(returns, items)
    total: np.ndarray = choice_probabilities(returns, items).var(axis=0).sum(axis=1)
    return total


def uncertainty(
    returns: Float[np.ndarray, "M S"], items: Int[np.ndarray, "C K"]
) -> Float[np.ndarray, " C"]:
    """Entropy of the mean choice probabilities; of a rating, the entropy of a Gaussian (in nats).

    The variance of a rating is that of the members: its entropy is log(2 pi e Var) / 2. A pair
    whose clips have equal returns under every member scores -infinity.
    """
    if items.shape[1] == 1:
        variance = np.maximum(rating_variance(returns, items), 1e-12)
        gaussian: np.ndarray = np.log(2 * np.pi * np.e * variance) / 2
        return gaussian
    same = (np.ptp(returns[:, items], axis=2) == 0).all(axis=0)
    return np.where(same, -np.inf, entropy(choice_probabilities(returns, items).mean(axis=0)))


def information_gain(
    returns: Float[np.ndarray, "M S"], items: Int[np.ndarray, "C K"], rating_noise: float = 0.5
) -> Float[np.ndarray, " C"]:
    """Mutual information between the answer and the correct member.

        I = H(mean over m of p_m) - mean over m of H(p_m)

    Of a rating with Gaussian noise: log(1 + Var / noise^2) / 2.
    """
    if items.shape[1] == 1:
        channel: np.ndarray = np.log1p(rating_variance(returns, items) / rating_noise**2) / 2
        return channel
    chosen = choice_probabilities(returns, items)
    gain: np.ndarray = entropy(chosen.mean(axis=0)) - entropy(chosen).mean(axis=0)
    return gain
