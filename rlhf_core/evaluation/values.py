"""Value functions by least squares on random features, from transitions of one policy."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

FEATURES = 64
RIDGE = 1e-3
WIDEST = 10.0


class ValueFunction(NamedTuple):
    """V(s) = weights . [cos(frequencies z + phase), 1], z the standardised state.

    Random Fourier features of a Gaussian kernel (Rahimi and Recht 2007).
    """

    mean: Float[np.ndarray, " features"]
    scale: Float[np.ndarray, " features"]
    frequencies: Float[np.ndarray, "features F"]
    phase: Float[np.ndarray, " F"]
    weights: Float[np.ndarray, "basis R"]

    def basis(self, states: Float[np.ndarray, "B features"]) -> Float[np.ndarray, "B basis"]:
        """Compute the features of states."""
        z = np.clip((states - self.mean) / self.scale, -WIDEST, WIDEST)
        waves = np.cos(z @ self.frequencies + self.phase)
        return np.concatenate([waves, np.ones((len(z), 1))], axis=1)

    def __call__(self, states: Float[np.ndarray, "B features"]) -> Float[np.ndarray, "B R"]:
        """Compute values of states, one column for each reward."""
        return self.basis(states) @ self.weights


def fit_values(
    states: Float[np.ndarray, "B features"],
    next_states: Float[np.ndarray, "B features"],
    terminated: Bool[np.ndarray, " B"],
    rewards: Float[np.ndarray, "B R"],
    discount: float,
    rng: np.random.Generator,
) -> ValueFunction:
    """Fit a value function by least squares temporal differences.

        weights = (Phi^T (Phi - discount Phi') + ridge)^-1 Phi^T r

    Paper: Bradtke and Barto 1996, https://doi.org/10.1007/BF00114723.

    Args:
        states: of each transition, as features.
        next_states: after it.
        terminated: whether it ended the episode; a final state has no value.
        rewards: several rewards of the same transitions, one column each.
        discount: in [0, 1).
        rng: draws the features.
    """
    size, scale = states.shape[1], states.std(axis=0)
    values = ValueFunction(
        states.mean(axis=0),
        np.where(scale < 1e-6, 1.0, scale),
        rng.normal(size=(size, FEATURES)) / np.sqrt(size),
        rng.uniform(0, 2 * np.pi, FEATURES),
        np.empty((0, 0)),
    )
    here = values.basis(states)
    step = here - discount * np.where(terminated[:, None], 0.0, values.basis(next_states))
    # The constant has no penalty, so that an offset of the reward does not change the fit.
    ridge = RIDGE * np.diag(np.append(np.ones(FEATURES), 0.0))
    system = here.T @ step / len(here) + ridge
    weights = np.linalg.solve(system, here.T @ rewards / len(here))
    return values._replace(weights=weights)
