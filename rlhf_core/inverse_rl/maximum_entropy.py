"""Maximum causal entropy inverse reinforcement learning, solved exactly for finite problems.

Among all policies that visit states as often as the demonstrations, the one with the largest
causal entropy is the soft-optimal policy of some reward (Ziebart et al. 2008,
https://cdn.aaai.org/AAAI/2008/AAAI08-227.pdf; Ziebart 2010, doi:10.1184/R1/6720692):

    Q_t(s, a) = r(s, a) + sum over s' of P(s'|s, a) V_{t+1}(s')
    V_t(s)    = log sum over a of exp Q_t(s, a),           V_T = 0
    pi_t(a|s) = exp(Q_t(s, a) - V_t(s))

The reward minimises the convex dual  E[V_0(s_0)] - <demonstrated visits, r>, whose gradient is the
soft policy's visits minus the demonstrated ones. `rlhf_core.inverse_rl.adversarial` estimates the
same gradient from samples, for problems too large for tables.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from rlhf_core.errors import ConfigurationError, ShapeError

MOST_ITERATIONS = 2000


class TabularMDP(NamedTuple):
    """A finite Markov decision process that ends after a number of steps."""

    transitions: Float[np.ndarray, "S A S"]
    """P(s'|s, a)."""
    initial: Float[np.ndarray, " S"]
    """Distribution of the first state."""
    horizon: int
    """T, steps of an episode."""
    terminal: Bool[np.ndarray, " S"] | None = None
    """Absorbing states in which an episode ends: their reward and their value are 0."""

    def check(self) -> None:
        """Raise `ShapeError` unless these are distributions of fitting sizes."""
        states = len(self.initial)
        shape = self.transitions.shape
        if len(shape) != 3 or shape[0] != states or shape[2] != states:
            raise ShapeError(
                f"TabularMDP: expected transitions ({states}, actions, {states}), actual: {shape}"
            )
        sums = [self.transitions.sum(axis=2), self.initial.sum()]
        smallest = min(self.transitions.min(), self.initial.min())
        if smallest < 0 or any(np.abs(total - 1).max() > 1e-9 for total in sums):
            raise ShapeError("TabularMDP: expected probabilities that sum to 1")
        if self.horizon < 1:
            raise ShapeError(
                f"TabularMDP: expected a horizon of at least 1, actual: {self.horizon}"
            )


class Solution(NamedTuple):
    """The reward that explains demonstrations, with its soft-optimal policy."""

    weights: Float[np.ndarray, " F"]
    reward: Float[np.ndarray, "S A"]
    """Of the smallest norm among those that explain the demonstrations equally well."""
    policy: Float[np.ndarray, "T S A"]
    visits: Float[np.ndarray, "S A"]
    """Expected visits of the policy in an episode."""
    gap: float
    """Largest difference between the policy's expected features and the demonstrated ones."""


def soft_policy(
    mdp: TabularMDP, reward: Float[np.ndarray, "S A"]
) -> tuple[Float[np.ndarray, "T S A"], Float[np.ndarray, " S"]]:
    """Return the soft-optimal policy at each step, and the soft values V_0."""
    policies = np.empty((mdp.horizon, *reward.shape))
    values = np.zeros(len(mdp.initial))
    for step in reversed(range(mdp.horizon)):
        quality = reward + mdp.transitions @ values
        top = quality.max(axis=1, keepdims=True)
        values = (top + np.log(np.exp(quality - top).sum(axis=1, keepdims=True)))[:, 0]
        policies[step] = np.exp(quality - values[:, None])
        if mdp.terminal is not None:
            values[mdp.terminal] = 0.0
    return policies, values


def expected_visits(
    mdp: TabularMDP, policy: Float[np.ndarray, "T S A"]
) -> Float[np.ndarray, "S A"]:
    """Return the expected number of times that an episode takes each action in each state."""
    state, visits = mdp.initial, np.zeros(policy.shape[1:])
    for chances in policy:
        taken = state[:, None] * chances
        visits += taken
        state = np.einsum("sa,sat->t", taken, mdp.transitions)
    return visits


def demonstrated_visits(
    states: Sequence[Int[np.ndarray, " _"]],
    actions: Sequence[Int[np.ndarray, " _"]],
    shape: tuple[int, int],
) -> Float[np.ndarray, "S A"]:
    """Return the mean number of times that demonstrations take each action in each state."""
    visits = np.zeros(shape)
    for state, action in zip(states, actions, strict=True):
        np.add.at(visits, (state, action), 1.0)
    return visits / len(states)


def maximum_entropy(
    mdp: TabularMDP,
    visits: Float[np.ndarray, "S A"],
    features: Float[np.ndarray, "S A F"] | None = None,
    tolerance: float = 1e-6,
    penalty: float = 0.0,
) -> Solution:
    """Find the reward whose soft-optimal policy has the demonstrated expected features.

    Args:
        mdp: the problem without its reward.
        visits: demonstrated visits of states and actions in an episode, together T.
        features: r(s, a) = features(s, a) . weights; None: one weight a state.
        tolerance: largest absolute derivative of the dual at which the search ends.
        penalty: weight of |weights|^2 / 2 in the dual. A positive one gives a finite reward to any
            visits, with gap = penalty max |weights|.

    Raises:
        ShapeError: the sizes do not fit, or `visits` are not those of episodes of T steps.
        ConfigurationError: no finite reward explains the visits within `tolerance`.
    """
    mdp.check()
    states, actions = mdp.transitions.shape[:2]
    if visits.shape != (states, actions) or abs(visits.sum() - mdp.horizon) > 1e-6 * mdp.horizon:
        raise ShapeError(
            f"visits: expected ({states}, {actions}) that sum to {mdp.horizon}, actual: "
            f"{visits.shape} that sum to {visits.sum():g}"
        )
    if features is None:
        features = np.repeat(np.eye(states)[:, None], actions, axis=1)
    if mdp.terminal is not None:
        features = np.where(mdp.terminal[:, None, None], 0.0, features)
    demonstrated = np.einsum("sa,saf->f", visits, features)
    weights = torch.zeros(features.shape[2], dtype=torch.float64, requires_grad=True)
    search = torch.optim.LBFGS(
        [weights], max_iter=MOST_ITERATIONS, history_size=50, line_search_fn="strong_wolfe",
        tolerance_grad=tolerance / 10, tolerance_change=0.0,
    )  # fmt: skip
    best: list[tuple[float, Solution]] = []

    def dual() -> Tensor:
        current = weights.detach().numpy()
        reward = features @ current
        policy, values = soft_policy(mdp, reward)
        expected = expected_visits(mdp, policy)
        gradient = np.einsum("sa,saf->f", expected, features) - demonstrated
        gap, penalised = float(np.abs(gradient).max()), gradient + penalty * current
        weights.grad = torch.from_numpy(penalised)
        residual = float(np.abs(penalised).max())
        if not best or residual < best[0][0]:
            best[:] = [(residual, Solution(current.copy(), reward, policy, expected, gap))]
        squares = penalty / 2 * current @ current
        return torch.tensor(mdp.initial @ values - demonstrated @ current + squares)

    search.step(dual)
    residual, solution = best[0]
    if residual > tolerance:
        raise ConfigurationError(
            f"visits: expected some that a finite reward explains within {tolerance:g}, actual: "
            f"a gap of {residual:.2g}; states that are never demonstrated need more features "
            "in common with others, a penalty, or a larger tolerance"
        )
    return solution
