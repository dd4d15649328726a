"""Ratings of a simulated teacher: a scale with bias, drift, noise and levels."""

import numpy as np
from jaxtyping import Bool, Float, Int

from rlhf_core.judgements import WHOLE


def credited_steps(
    step: Int[np.ndarray, " R"], mask: Bool[np.ndarray, "R L"], delay_steps: tuple[int, int]
) -> Bool[np.ndarray, "R L"]:
    """Mark the steps that a rating credits: all of a clip, or those of a moment's reaction window.

    A rating given after step t is a reaction to the steps from t - delay[1] to t - delay[0]
    (TAMER, Knox and Stone 2009, https://doi.org/10.1145/1597735.1597738).

    Args:
        step: after which each rating was given; `WHOLE`: the rating is of the whole clip.
        mask: real steps of the rated clips.
        delay_steps: shortest and longest delay of a reaction.
    """
    at, rated = np.arange(mask.shape[1]), step[:, None]
    nearest, farthest = delay_steps
    # Before the shortest delay has passed, the first step is credited.
    window = (at >= rated - farthest) & (at <= np.maximum(rated - nearest, 0))
    return mask & np.where(rated == WHOLE, True, window)


def mean_rewards(
    rewards: Float[np.ndarray, "R L"], counted: Bool[np.ndarray, "R L"]
) -> Float[np.ndarray, " R"]:
    """Mean reward of the counted steps, 0 where there is none."""
    mean: np.ndarray = (rewards * counted).sum(axis=1) / np.maximum(counted.sum(axis=1), 1)
    return mean


def on_scale(
    values: Float[np.ndarray, " R"],
    ends: tuple[float, float],
    bias: Float[np.ndarray, " R"],
    noise: float,
    levels: int | None,
    rng: np.random.Generator,
) -> Float[np.ndarray, " R"]:
    """Draw ratings in [0, 1].

        rating = round_to_levels(clip((value - worst) / (best - worst) + bias + noise epsilon))

    Args:
        values: of what is rated.
        ends: worst and best value, which are rated 0 and 1.
        bias: added to each, in units of the scale.
        noise: standard deviation, in units of the scale.
        levels: how many ratings there are, evenly from 0 to 1; None: any number.
        rng: draws epsilon, standard normal.
    """
    worst, best = ends
    rating = (values - worst) / (best - worst if best > worst else 1.0) + bias
    rating = np.clip(rating + noise * rng.standard_normal(len(values)), 0.0, 1.0)
    return rating if levels is None else np.round(rating * (levels - 1)) / (levels - 1)
