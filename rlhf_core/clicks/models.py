"""Click models: which items of a slate are examined, clicked, and found satisfying.

All three share the examination hypothesis: an item is clicked if it is examined and attractive.
They differ in what is examined. Positions are the first axis: K of them, in `count` slates.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float


class Clicks(NamedTuple):
    """What users did with slates."""

    examined: Bool[np.ndarray, "K count"]
    clicked: Bool[np.ndarray, "K count"]
    satisfied: Bool[np.ndarray, "K count"]
    """Clicked, and the item was what the user had hoped for."""


class Users(NamedTuple):
    """Probabilities by which users act, and the uniform draws that decide."""

    attraction: Float[np.ndarray, "K count"]
    """a, probability that an examined item is clicked."""
    satisfaction: Float[np.ndarray, "K count"]
    """s, probability that a clicked item satisfies."""
    continuation: Float[np.ndarray, " K"]
    """theta_k, probability that position k is examined: of its own accord in the position-based
    model, after position k - 1 without satisfaction in the dynamic Bayesian network."""
    draws: Float[np.ndarray, "3 K count"]
    """In [0, 1): for examination, click and satisfaction."""

    @property
    def attracted(self) -> Bool[np.ndarray, "K count"]:
        """Whether each item would be clicked if it were examined."""
        return self.draws[1] < self.attraction

    @property
    def pleased(self) -> Bool[np.ndarray, "K count"]:
        """Whether each item would satisfy if it were clicked."""
        return self.draws[2] < self.satisfaction

    @property
    def continued(self) -> Bool[np.ndarray, "K count"]:
        """Whether each position passes the draw for its examination."""
        return self.draws[0] < self.continuation[:, None]


def position_based(users: Users) -> Clicks:
    """Examine each position by itself (Richardson et al. 2007, doi:10.1145/1242572.1242643).

    P(click at k) = theta_k a_k
    """
    return _clicks(users, users.continued)


def cascade(users: Users) -> Clicks:
    """Examine from the top down to the first click (Craswell et al. 2008,
    doi:10.1145/1341531.1341545).

        P(examine k) = product over j < k of (1 - a_j)
    """
    return _clicks(users, _none_before(users.attracted))


def dynamic_bayesian(users: Users) -> Clicks:
    """Examine from the top down until satisfied or tired of it (Chapelle and Zhang 2009,
    https://doi.org/10.1145/1526709.1526711).

        P(examine k) = theta_k P(examine k - 1) (1 - a_(k-1) s_(k-1))

    Where theta_k is one constant for k > 1 and theta_1 is 1, it is their model; the relevance of an
    item is a s.
    """
    stops = (users.attracted & users.pleased) | _next_is_not(users.continued)
    first = np.broadcast_to(users.continued[0], users.continued.shape)
    return _clicks(users, first & _none_before(stops))


CLICK_MODELS: Mapping[str, Callable[[Users], Clicks]] = {
    "position": position_based,
    "cascade": cascade,
    "dynamic_bayesian": dynamic_bayesian,
}


def _clicks(users: Users, examined: Bool[np.ndarray, "K count"]) -> Clicks:
    clicked = examined & users.attracted
    return Clicks(examined, clicked, clicked & users.pleased)


def _none_before(event: Bool[np.ndarray, "K count"]) -> Bool[np.ndarray, "K count"]:
    """Whether an event happened at no position above."""
    before = np.zeros_like(event)
    before[1:] = np.logical_or.accumulate(event[:-1], axis=0)
    return ~before


def _next_is_not(continued: Bool[np.ndarray, "K count"]) -> Bool[np.ndarray, "K count"]:
    """Whether the position below fails its draw."""
    fails = np.zeros_like(continued)
    fails[:-1] = ~continued[1:]
    return fails
