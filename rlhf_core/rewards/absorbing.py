"""Absorbing states that are not played: what staying in them is worth.

An episode that ends before its fixed horizon goes on in an absorbing state, where nothing happens:
the observation stays, with its flag raised, actions are ignored, and every step has the reward of
the same transition (s, a, s). So these steps are not played but counted (Kostrikov et al. 2019,
https://arxiv.org/abs/1809.02925, section 4.2).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from rlhf_core.recording import Record
from rlhf_core.rewards import EnvironmentReward, ObservingReward, Reward
from rlhf_core.types import Transitions

REMEMBERED = 64
"""Ends of episodes from which the reward of absorbing states is computed."""
SMALLEST_UNIT = 1e-6
"""Rewards that differ less from those of absorbing states are not scaled."""
OBSERVATIONS, ACTIONS = "absorbed/observations", "absorbed/actions"
"""Keys of `PolicyState.optimizer_state`."""


def staying(record: Record) -> Transitions:
    """Return the absorbing step of each episode that ended early, in the order of a mask.

    Args:
        record: (T, copies); `record.absorbing_steps` is at least 0 where an episode ended early.

    Returns:
        Steps (B, ...) from the last observation to itself, with the last action of the episode.
    """
    absorbed = record.absorbing_steps >= 0
    return Transitions.absorbing(record.next_observations[absorbed], record.actions[absorbed])


def staying_rewards(reward: Reward, steps: Transitions) -> Float[np.ndarray, " B"]:
    """Return the rewards of absorbing steps; the true reward of an absorbing state is 0.

    To a reward that learns from every rollout there is one absorbing state, whose reward is the
    mean over these steps (Kostrikov et al. 2019, section 4.2, where it has no features but its
    flag). A discriminator has learned little about how one such state differs from another, and
    the value of an early end multiplies that by 1 / (1 - discount).
    """
    if isinstance(reward, EnvironmentReward) or not len(steps.actions):
        return np.zeros(len(steps.actions), dtype=np.float32)
    rewards = reward(*steps)
    if isinstance(reward, ObservingReward):
        return np.full_like(rewards, rewards.mean())
    return rewards


def value_of_staying(
    rewards: Float[np.ndarray, " B"], steps: Int[np.ndarray, " B"], discount: float
) -> Float[np.ndarray, " B"]:
    """Return the discounted sum of the rewards of absorbing states.

        V = r / (1 - discount)                 for a discount below 1
        V = r * steps                          for a discount of 1

    With a discount the sum does not end at the horizon. The horizon is a time limit, at which the
    value of the last state is added: in an absorbing state, with n steps left, the rewards of
    these steps and then V again, sum over t < n of discount^t r + discount^n V = V for every n.

    Args:
        rewards: r of one step.
        steps: that are left to the horizon.
        discount: of one step.
    """
    if discount < 1:
        values: np.ndarray = rewards / (1 - discount)
        return values
    return rewards * steps


def remembered(before: Transitions | None, new: Transitions) -> Transitions | None:
    """Return the newest absorbing steps of all, 64 at the most; None where there are none."""
    if not len(new.actions):
        return before
    joined = new if before is None else before.joined(new)
    return joined.take(np.arange(len(joined.actions))[-REMEMBERED:])


def to_arrays(steps: Transitions | None) -> dict[str, np.ndarray]:
    """Return remembered absorbing steps as arrays by name."""
    return {} if steps is None else {OBSERVATIONS: steps.observations, ACTIONS: steps.actions}


def from_arrays(arrays: Mapping[str, np.ndarray]) -> Transitions | None:
    """Return the absorbing steps of `to_arrays`, or None."""
    if OBSERVATIONS not in arrays:
        return None
    return Transitions.absorbing(*(np.asarray(arrays[name]) for name in (OBSERVATIONS, ACTIONS)))


@dataclass(frozen=True)
class Scale:
    """r <- (r - zero) / unit, for a reward that absorbing states receive too."""

    zero: np.float32
    unit: np.float32

    def __call__(self, rewards: Float[np.ndarray, "*B"]) -> Float[np.ndarray, "*B"]:
        """Return scaled rewards."""
        scaled: np.ndarray = (rewards - self.zero) / self.unit
        return scaled


UNSCALED = Scale(np.float32(0), np.float32(1))


class AbsorbingScale:
    """The scale on which an absorbing state has a reward of 0, and steps one of about 1.

        zero = mean reward of the newest absorbing steps
        unit = root mean square of (r - zero) over the rollout

    All episodes count the same number of steps, so a constant changes no order of policies. Without
    it the value of an early end would be r / (1 - discount), often hundreds of times the reward of
    a step, and the value function would learn little else. Without the unit it would be so wherever
    the policy no longer comes near an end: learned rewards are normalised on what it does now, and
    an absorbing state is then many standard deviations away.

    Both are computed once, so that they do not move under the value function, and again only where
    the reward itself has changed. Where no episode ever ended early, nothing is scaled.
    """

    def __init__(self, ends: Transitions | None) -> None:
        self.ends = ends
        """The newest absorbing steps."""
        self._reward: Reward | None = None
        self._scale: Scale | None = None

    def of(self, reward: Reward, ends: Transitions, rewards: np.ndarray) -> Scale:
        """Return the scale after another rollout.

        Args:
            reward: of the rollout.
            ends: its absorbing steps.
            rewards: of its steps.
        """
        self.ends = remembered(self.ends, ends)
        if isinstance(reward, EnvironmentReward) or self.ends is None:
            return UNSCALED
        if self._scale is None or reward is not self._reward:
            zero = np.float32(staying_rewards(reward, self.ends).mean())
            unit = np.float32(np.sqrt(np.square(rewards - zero, dtype=np.float64).mean()))
            unit = unit if unit > SMALLEST_UNIT else np.float32(1)
            self._reward, self._scale = reward, Scale(zero, unit)
        return self._scale
