"""Questions whose answer is clear, where the true reward is known: to train and to measure people.

Two clips of very different true return are a comparison that a careful annotator answers rightly.
"""

from typing import Any

import numpy as np

from rlhf_core.feedback_forms import parse
from rlhf_core.labelling.store.records import Gold
from rlhf_core.questions import Queries, Request
from rlhf_core.types import Truth

TOLERANCE = 0.3
"""How far a rating may be from the clip's place among all clips, from 0 to 1."""
FORMS = ("comparison", "best_of", "ranking", "rating")
"""Forms for which an answer can be known, in the order of preference."""
LEAST_SPREAD = 1e-9
"""Of the true returns, in proportion to their size; clips that differ less are all alike."""


def known_questions(
    request: Request, truth: Truth, count: int, rng: np.random.Generator
) -> tuple[Gold, ...]:
    """Questions about clips of a request whose true returns lie far apart.

    The clips are ordered by true return and cut into as many equal parts as a question has clips.
    A question shows one clip of each part: of its lower half, and of the upper half of the last.

    Args:
        request: what is asked; its first form of `FORMS` is used.
        truth: true rewards of the clips.
        count: how many questions.
        rng: the source of randomness.

    Returns:
        `count` questions; none where no form fits or the clips are all alike.
    """
    form = next((one for one in FORMS if len(request.queries.get(one, ()))), None)
    returns = truth.segments.sum(axis=1)
    if form is None or not count or len(returns) < 2:
        return ()
    if np.ptp(returns) <= LEAST_SPREAD * max(1.0, float(np.abs(returns).max())):
        return ()
    queries = request.queries[form]
    if form == "rating":
        return tuple(_rating(queries, returns, rng) for _ in range(count))
    size = parse(queries).size()
    if size > len(returns):
        return ()
    return tuple(_ordered(form, queries, size, returns, rng) for _ in range(count))


def _ordered(
    form: str, queries: Queries, size: int, returns: np.ndarray, rng: np.random.Generator
) -> Gold:
    parts = np.array_split(np.argsort(returns, kind="stable"), size)
    chosen = []
    for place, part in enumerate(parts):
        half = (len(part) + 1) // 2
        near = part[-half:] if place == size - 1 else part[:half]
        chosen.append(int(rng.choice(near)))
    clips = [int(clip) for clip in rng.permutation(chosen)]
    order = sorted(range(size), key=lambda place: -returns[clips[place]])
    listed = ", ".join(f"{returns[clip]:.4g}" for clip in clips)
    text = f"The true returns, in the order in which the clips were shown: {listed}."
    answer: dict[str, Any]
    if form == "comparison":
        answer = {"choice": ("left", "right")[order[0]]}
    else:
        answer = {"order": order, "places": parse(queries).worth()}
    return Gold(form, queries.form, tuple(clips), answer, text)


def _rating(queries: Queries, returns: np.ndarray, rng: np.random.Generator) -> Gold:
    clip = int(rng.integers(len(returns)))
    place = float((returns < returns[clip]).mean())
    text = f"The clip's true return is {returns[clip]:.4g}, above that of {place:.0%} of the clips."
    return Gold("rating", queries.form, (clip,), {"value": place, "tolerance": TOLERANCE}, text)
