"""Evidence put together, and taken apart."""

from dataclasses import replace
from typing import Any

import numpy as np

from rlhf_core.answers import Answers
from rlhf_core.demonstrations import Demonstrations
from rlhf_core.errors import ConfigurationError
from rlhf_core.judgements import Judgements, select
from rlhf_core.labels import Evidence
from rlhf_core.questions import Request
from rlhf_core.reward_learning.evidence import gathered


def joined(first: Evidence | None, second: Evidence) -> Evidence:
    """The first evidence, then the second, whose positions move on.

    Raises:
        ConfigurationError: their clips or questions are not of one kind.
    """
    if first is not None:
        check_alike(first, second)
    request = Request(second.segments, second.segments, second.queries)
    return gathered(first, request, Answers(second.judgements))


def since(whole: Evidence, before: Evidence) -> Evidence | None:
    """What `whole` has after `before`, with which it begins; None where that is nothing."""
    clips = len(before.segments)
    judgements: dict[str, Judgements] = {}
    queries = {}
    for form, asked in whole.queries.items():
        known = before.queries.get(form)
        start = 0 if known is None else len(known)
        step = None if asked.step is None else asked.step[start:]
        queries[form] = replace(asked, items=asked.items[start:] - clips, step=step)
    for form, made in whole.judgements.items():
        earlier = before.judgements.get(form)
        count = 0 if earlier is None else len(earlier)
        if len(made) > count:
            asked_before = before.queries.get(form)
            start = 0 if asked_before is None else len(asked_before)
            judgements[form] = _later(made, count).moved(-clips, -start)
    if not judgements:
        return None
    segments = whole.segments.take(np.arange(clips, len(whole.segments)))
    return Evidence(segments, queries, judgements)


def _later(judgements: Judgements, count: int) -> Judgements:
    if isinstance(judgements, Demonstrations):
        return judgements.episodes(count, len(judgements))
    return select(judgements, np.arange(count, len(judgements)))


def check_alike(first: Evidence, second: Evidence) -> None:
    """Raise `ConfigurationError` unless a reward can be fitted to both together."""
    for name, ours, theirs in (
        ("the steps of a clip", first.segments.steps, second.segments.steps),
        ("observations", _kind(first.segments.observations), _kind(second.segments.observations)),
        ("actions", _kind(first.segments.actions), _kind(second.segments.actions)),
    ):
        if ours != theirs:
            raise ConfigurationError(
                f"labels: expected {name} as in those that are there, {ours}, actual: {theirs}"
            )
    for form in sorted({*first.queries} & {*second.queries}):
        ours, theirs = (e.queries[form].items.shape[1] for e in (first, second))
        if ours != theirs:
            raise ConfigurationError(
                f"labels: expected {ours} clips in a question of form '{form}', as in those that "
                f"are there, actual: {theirs}"
            )


def _kind(array: np.ndarray) -> Any:
    return f"{array.dtype} {array.shape[2:]}"
