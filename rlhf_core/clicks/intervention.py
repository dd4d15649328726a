"""Slates shown with items swapped at random, before a run begins."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Int

from rlhf_core.clicks.log import Impressions, LogColumns, read
from rlhf_core.clicks.propensities import swapped
from rlhf_core.environments.factory import Environment, episode_seeds
from rlhf_core.recording import Recorder

COPIES = 64
"""Users who are served side by side."""


class Intervention(NamedTuple):
    """Impressions of an intervention, and what was swapped in them."""

    impressions: Impressions
    partner: Int[np.ndarray, " B"]
    """Position with which the top could have been swapped."""


def intervene(
    environment: Environment, columns: LogColumns, impressions: int, rng: np.random.Generator
) -> Intervention:
    """Serve slates in which the top is swapped with another position half of the time.

    Slates are random sets of items, in the order of the items' numbers, so that without the swaps
    each position would hold other items than the next.

    Args:
        environment: whose actions are slates.
        columns: where its log stands.
        impressions: slates to serve, at the least.
        rng: the source of randomness.
    """
    vector = environment.make_vector(COPIES)
    try:
        vector.action_space.seed(int(rng.integers(2**31)))
        recorder = Recorder(vector)
        recorder.reset(episode_seeds(rng, COPIES))
        partners = []
        for _ in range(-(-impressions // COPIES)):
            slates, partner = swapped(np.sort(vector.action_space.sample(), axis=1), rng)
            recorder.step(slates)
            partners.append(partner)
    finally:
        vector.close()
    record = recorder.take()
    rows = (
        steps.reshape(-1, steps.shape[-1])
        for steps in (record.observations, record.actions, record.next_observations)
    )
    return Intervention(read(columns, *rows), np.concatenate(partners))
