"""Distance of two rewards that does not depend on scale or potential shaping."""

import numpy as np
from jaxtyping import Bool, Float

from rlhf_core.evaluation.values import fit_values


def starc_distance(
    first: Float[np.ndarray, " B"],
    second: Float[np.ndarray, " B"],
    observation: Float[np.ndarray, "B features"],
    next_observation: Float[np.ndarray, "B features"],
    terminated: Bool[np.ndarray, " B"],
    discount: float,
    rng: np.random.Generator,
) -> float | None:
    """Compute a distance of two rewards that ignores scale and potential shaping.

        c(R)(s, a, s') = R(s, a, s') - V(s) + discount V(s')
        d = || c(R_1) / ||c(R_1)||  -  c(R_2) / ||c(R_2)|| || / 2

    V is the value of the policy that made the transitions under that reward, fitted by least
    squares temporal differences on random Fourier features. 0: the same ordering of policies; 1:
    the opposite one; unrelated rewards are near 0.71. It is the value-adjusted form of STARC
    metrics (Skalse et al. 2023, https://arxiv.org/abs/2309.15257), on transitions of one policy.

    Args:
        first: one reward of each transition.
        second: the other.
        observation: s as features.
        next_observation: s' as features.
        terminated: whether s' ended the episode; it then has no value.
        discount: in [0, 1).
        rng: draws the features.

    Returns:
        The distance, or None where a reward is constant or consists of shaping alone.
    """
    rewards = np.stack([first, second], axis=1).astype(np.float64)
    if (np.ptp(rewards, axis=0) == 0).any():
        return None
    values = fit_values(observation, next_observation, terminated, rewards, discount, rng)
    after = np.where(terminated[:, None], 0.0, values(next_observation))
    canonical = rewards - values(observation) + discount * after
    norms = np.linalg.norm(canonical, axis=0)
    if (norms < 1e-6 * np.linalg.norm(rewards - rewards.mean(axis=0), axis=0)).any():
        return None
    difference = canonical[:, 0] / norms[0] - canonical[:, 1] / norms[1]
    return float(np.linalg.norm(difference) / 2)
