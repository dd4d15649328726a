"""Drawing queries of every form from a policy's rollouts."""

from collections.abc import Sequence
from functools import reduce
from typing import NamedTuple

import numpy as np
from jaxtyping import Int

from rlhf_core.acquisition.scores import information_gain
from rlhf_core.errors import ConfigurationError
from rlhf_core.feedback_forms import FeedbackForm
from rlhf_core.judgements import concatenate
from rlhf_core.queries import QuerySelector
from rlhf_core.questions import Queries, Request, no_questions
from rlhf_core.rewards.model import Likelihoods
from rlhf_core.rewards.network import RewardEnsemble
from rlhf_core.segments import clips_in, cut, sample_segments
from rlhf_core.types import Rollouts, Segments

SAME_START_CANDIDATES = 4
"""Candidates a question among which clips that begin alike are looked for."""
RATING_NOISE = 0.5
"""Noise of a rating in standard deviations of the ratings, until a fit has estimated it."""


class Source(NamedTuple):
    """Where clips are cut from, and by what they are chosen."""

    rollouts: Rollouts
    steps: int
    """L, of a clip."""
    selector: QuerySelector
    ensemble: RewardEnsemble
    """The reward so far."""
    fitted: bool
    """Whether it has learned from any labels."""
    same_start: bool = False
    """Whether the clips of a question begin with the same observation."""


class Selection(NamedTuple):
    """Queries of one form, and the clips that they are about."""

    form: FeedbackForm
    segments: Segments
    """With what the clips can be shown from."""
    items: np.ndarray
    """(N, K) positions in `segments`."""
    audit: bool
    """Drawn at random, to see how the reward does on clips that nobody chose."""


def choose(
    source: Source, form: FeedbackForm, count: int, audit: bool, rng: np.random.Generator
) -> Selection:
    """Choose clips for `count` queries of one form, no clip in two of them.

    Of clips that begin alike there may be fewer.

    Args:
        source: the rollouts and the selector.
        form: what is asked.
        count: N, queries.
        audit: draw them at random instead.
        rng: the source of randomness.
    """
    size, selector = form.size(), source.selector
    at_random = audit or (selector.reads_reward and not source.fitted)
    # More candidates than there are clips would be the same clips again.
    wanted = count if at_random else selector.candidates(count)
    available = clips_in(source.rollouts, source.steps) // size
    if source.same_start:
        wanted = max(wanted, SAME_START_CANDIDATES * count)
    drawn = max(count, min(wanted, available))
    segments = sample_segments(source.rollouts, size * drawn, source.steps, rng)
    items = np.arange(size * drawn).reshape(-1, size)
    if source.same_start:
        items = rng.permutation(same_start_groups(segments, size))
        count = min(count, len(items))
    candidates = Queries(items[:count] if at_random else items)
    if not at_random:
        returns = source.ensemble.segment_returns(segments)
        candidates = selector.select(candidates, segments, returns, count, rng)
    used, position = np.unique(candidates.items, return_inverse=True)
    clips = cut(source.rollouts, segments.origin[used], source.steps, replayable=True)
    return Selection(form, clips, position.reshape(candidates.items.shape), audit)


def same_start_groups(segments: Segments, size: int) -> Int[np.ndarray, "groups size"]:
    """Return positions of clips that begin with the same observation, each clip at most once.

    Args:
        segments: the clips.
        size: of a group; what is left of the clips of one start is too few for another one.

    Raises:
        ConfigurationError: no two clips begin alike.
    """
    first = segments.observations[:, 0].reshape(len(segments), -1)
    _, start = np.unique(first, axis=0, return_inverse=True)
    start = start.ravel()
    order = np.argsort(start, kind="stable")
    counts = np.bincount(start)
    # Places within the clips of one start, in this order.
    place = np.arange(len(order)) - np.repeat(np.cumsum(counts) - counts, counts)
    full = place < np.repeat(counts // size * size, counts)
    if not full.any():
        raise ConfigurationError(
            f"feedback.same_start: expected {size} clips that begin with the same observation, "
            f"actual: none among {len(segments)}; set it to false, or take more first steps "
            "(budget.initial_steps)"
        )
    return order[full].reshape(-1, size)


def information(form: FeedbackForm, reference: Segments, ensemble: RewardEnsemble) -> float:
    """What one label of a form is expected to tell about the reward, in nats.

    For a choice among K clips it is the mutual information between the answer and the member,
    H(mean of p_m) - mean of H(p_m) with p_m = softmax(R_m); for a rating that of a Gaussian
    channel, log(1 + Var_m(z) / noise^2) / 2, with z a clip's place among all. Means over groups of
    reference clips.
    """
    returns = ensemble.segment_returns(reference)
    size = form.size()
    whole = returns.shape[1] // size * size
    if not whole:
        return 0.0
    noise = np.exp(ensemble.state.heads.get(f"{form.kind}.log_noise", np.log(RATING_NOISE))).mean()
    items = np.arange(whole).reshape(-1, size)
    return float(information_gain(returns, items, float(noise)).mean())


def compose(
    chosen: Sequence[Selection],
    likelihoods: Likelihoods,
    reference: Segments,
    rng: np.random.Generator,
) -> Request:
    """One request of the chosen queries, with the clips that they are about and no others."""
    if not chosen:
        return no_questions(reference)
    clips: list[Segments] = []
    audit: list[np.ndarray] = []
    items: dict[str, list[np.ndarray]] = {}
    forms: dict[str, FeedbackForm] = {}
    for part in chosen:
        moved = part.items + sum(map(len, clips))
        items.setdefault(part.form.kind, []).append(moved)
        forms[part.form.kind] = part.form
        clips.append(part.segments)
        audit.append(np.full(len(part.segments), part.audit))
    segments = reduce(concatenate, clips)
    queries = {
        kind: forms[kind].compose(np.concatenate(parts), segments, likelihoods, rng)
        for kind, parts in sorted(items.items())
    }
    return Request(segments, reference, queries, np.concatenate(audit))
