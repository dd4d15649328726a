"""Drawing questions of every form from a policy's rollouts."""

from collections.abc import Sequence
from functools import reduce
from typing import NamedTuple

import numpy as np

from rlhf_core.acquisition.scores import information_gain
from rlhf_core.evidence import WHOLE, Queries, Request, concatenate, no_queries
from rlhf_core.queries import QuerySelector
from rlhf_core.reward_learning.forms import Form
from rlhf_core.rewards.network import RewardEnsemble
from rlhf_core.segments import clips_in, sample_segments
from rlhf_core.types import Rollouts, Segments

RATING_NOISE = 0.5
"""Noise of a rating in deviations of the ratings, until a fit has found out."""


class Chosen(NamedTuple):
    """Questions of one form, and the clips that they were chosen from."""

    form: Form
    segments: Segments
    queries: Queries
    audit: bool
    """Drawn at random, to see how the reward does on clips that nobody picked."""


def choose(
    form: Form,
    group: int,
    count: int,
    rollouts: Rollouts,
    ensemble: RewardEnsemble,
    fitted: bool,
    selector: QuerySelector,
    steps: int,
    audit: bool,
    rng: np.random.Generator,
) -> Chosen:
    """`count` questions of one form, no clip in two of them.

    Args:
        form: what is asked.
        group: K, where a group is asked about.
        count: N, questions.
        rollouts: where clips are cut from.
        ensemble: the reward so far.
        fitted: whether it has learned from any labels.
        selector: chooses among candidates.
        steps: L, of a clip.
        audit: draw them at random instead.
        rng: the source of randomness.
    """
    size = form.size(group)
    at_random = audit or (selector.reads_reward and not fitted)
    # More candidates than there are clips would be the same clips again.
    wanted = count if at_random else selector.candidates(count)
    drawn = max(count, min(wanted, clips_in(rollouts, steps) // size))
    segments = sample_segments(rollouts, size * drawn, steps, rng)
    candidates = Queries(np.arange(size * drawn).reshape(-1, size))
    if not at_random:
        returns = ensemble.segment_returns(segments)
        candidates = selector.select(candidates, segments, returns, count, rng)
    return Chosen(form, segments, candidates, audit)


def information(form: Form, group: int, reference: Segments, ensemble: RewardEnsemble) -> float:
    """What one label of a form is expected to tell about the reward, in nats.

    For a choice among K clips the mutual information between the answer and the member,
    H(mean of p_m) - mean of H(p_m) with p_m = softmax(R_m); for a rating that of a Gaussian
    channel, log(1 + Var_m(z) / noise^2) / 2, with z a clip's place among all. Means over groups of
    reference clips.
    """
    returns = ensemble.segment_returns(reference)
    size = form.size(group)
    whole = returns.shape[1] // size * size
    if not whole:
        return 0.0
    noise = np.exp(ensemble.state.heads.get("log_noise", np.log(RATING_NOISE))).mean()
    items = np.arange(whole).reshape(-1, size)
    return float(information_gain(returns, items, float(noise)).mean())


def compose(
    chosen: Sequence[Chosen],
    group: int,
    delay_steps: tuple[int, int],
    reference: Segments,
    rng: np.random.Generator,
) -> Request:
    """One request of the chosen questions, with the clips that they show and no others."""
    clips: list[Segments] = []
    audit: list[np.ndarray] = []
    asked: dict[Form, Queries] = {}
    for part in chosen:
        shown, position = np.unique(part.queries.items, return_inverse=True)
        moved = Queries(position.reshape(part.queries.items.shape) + sum(map(len, clips)))
        asked[part.form] = concatenate(asked[part.form], moved) if part.form in asked else moved
        clips.append(part.segments.take(shown))
        audit.append(np.full(len(shown), part.audit))
    segments = reduce(concatenate, clips)
    groups = asked.get(Form.RANKING, asked.get(Form.BEST_OF))
    ratings = []
    if Form.RATING in asked:
        position = asked[Form.RATING].items[:, 0]
        ratings.append(np.stack([position, np.full_like(position, WHOLE)], axis=1))
    if Form.SIGNAL in asked:
        position = asked[Form.SIGNAL].items[:, 0]
        length = segments.mask[position].sum(axis=1)
        # Late enough that something can have been reacted to.
        first = np.minimum(delay_steps[0], length - 1)
        ratings.append(np.stack([position, rng.integers(first, length)], axis=1))
    return Request(
        segments=segments,
        queries=asked.get(Form.COMPARISON, no_queries()),
        reference=reference,
        rankings=groups,
        places=Form.RANKING.worth(group) if Form.RANKING in asked else 1,
        ratings=np.concatenate(ratings) if ratings else None,
        audit=np.concatenate(audit),
    )
