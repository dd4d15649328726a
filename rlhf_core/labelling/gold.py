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
CLEAR = 0.2
"""Least difference of the true returns of two clips whose order is clear, as a share of their range
among all clips."""
ATTEMPTS = 20
"""How often clips are drawn for a question before it is left out."""


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
        At most `count` questions: those whose order is clear; none where no form fits.
    """
    form = next((one for one in FORMS if len(request.queries.get(one, ()))), None)
    returns = truth.segments.sum(axis=1)
    if form is None or not count or len(returns) < 2:
        return ()
    if np.ptp(returns) == 0:
        return ()
    queries = request.queries[form]
    if form == "rating":
        return tuple(_rating(queries, returns, rng) for _ in range(count))
    size = parse(queries).size()
    if size > len(returns):
        return ()
    made = (_ordered(form, queries, size, returns, rng) for _ in range(count))
    return tuple(question for question in made if question is not None)


def _ordered(
    form: str, queries: Queries, size: int, returns: np.ndarray, rng: np.random.Generator
) -> Gold | None:
    parts = np.array_split(np.argsort(returns, kind="stable"), size)
    halves = [part[: (len(part) + 1) // 2] for part in parts[:-1]]
    halves.append(parts[-1][len(parts[-1]) // 2 :])
    least = CLEAR * np.ptp(returns) / (size - 1)
    for _ in range(ATTEMPTS):
        chosen = [int(rng.choice(half)) for half in halves]
        if np.diff(returns[chosen]).min() >= least:
            break
    else:
        return None
    clips = [int(clip) for clip in rng.permutation(chosen)]
    order = sorted(range(size), key=lambda place: -returns[clips[place]])
    answer: dict[str, Any]
    if form == "comparison":
        side = ("left", "right")[order[0]]
        better, worse = (f"{returns[clips[place]]:.4g}" for place in order)
        text = f"The {side} clip is better: its true return is {better}, the other's {worse}."
        answer = {"choice": side}
    else:
        listed = ", ".join(f"{returns[clip]:.4g}" for clip in clips)
        text = f"The true returns, in the order in which the clips were shown: {listed}."
        answer = {"order": order, "places": parse(queries).worth()}
    return Gold(form, queries.form, tuple(clips), answer, text)


def _rating(queries: Queries, returns: np.ndarray, rng: np.random.Generator) -> Gold:
    clip = int(rng.integers(len(returns)))
    place = float((returns < returns[clip]).mean())
    text = f"The clip's true return is {returns[clip]:.4g}, above that of {place:.0%} of the clips."
    return Gold("rating", queries.form, (clip,), {"value": place, "tolerance": TOLERANCE}, text)
