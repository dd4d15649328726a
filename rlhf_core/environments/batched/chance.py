"""Chance inside an episode that is a function of the episode's key and its step.

`Dynamics.step` draws nothing: what happens by chance is computed from a key that the first state
holds. A copy therefore meets the same chances alone and among thousands, and an episode that is
played again from its start and actions is the same.
"""

import numpy as np
from jaxtyping import Float, UInt64

KEYS = 2**53
"""Keys are whole numbers below this, which double precision holds exactly."""
GOLDEN = np.uint64(0x9E3779B97F4A7C15)
FIRST, SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)


def draw_keys(rng: np.random.Generator, count: int) -> Float[np.ndarray, " count"]:
    """Draw the key of each episode, as a whole number in double precision."""
    return rng.integers(KEYS, size=count).astype(np.float64)


def uniforms(
    key: Float[np.ndarray, " count"], step: Float[np.ndarray, " count"], numbers: int
) -> Float[np.ndarray, "numbers count"]:
    """Compute numbers in [0, 1) that pass for independent uniform draws.

        u_i = mix(mix(key + G) + (step * numbers + i + 1) G) / 2^53

    `mix` and G are those of SplitMix64 (Steele et al. 2014,
    https://doi.org/10.1145/2660193.2660195), a counter that is scrambled.

    Args:
        key: of each episode, from `draw_keys`.
        step: steps before this one in each episode.
        numbers: how many draws each copy needs in a step.
    """
    number = np.arange(1, numbers + 1, dtype=np.uint64)[:, None]
    counter = step.astype(np.uint64) * np.uint64(numbers) + number
    mixed = _mix(_mix(key.astype(np.uint64) + GOLDEN) + counter * GOLDEN)
    return (mixed >> np.uint64(11)).astype(np.float64) / KEYS


def _mix(number: UInt64[np.ndarray, "..."]) -> UInt64[np.ndarray, "..."]:
    """Scramble 64 bits."""
    number = (number ^ (number >> np.uint64(30))) * FIRST
    number = (number ^ (number >> np.uint64(27))) * SECOND
    return number ^ (number >> np.uint64(31))
