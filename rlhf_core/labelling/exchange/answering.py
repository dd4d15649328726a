"""Counted answers as the answers of a round; late ones with the clips that they are about."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from rlhf_core.answers import Answers, Comparisons, Rankings, Ratings
from rlhf_core.errors import ConfigurationError
from rlhf_core.judgements import Choice, Judgements, concatenate, select
from rlhf_core.labelling.exchange.judgements import by_form, judged
from rlhf_core.labelling.store.records import Batch, CountedAnswer
from rlhf_core.questions import Queries, Request
from rlhf_core.store import Store
from rlhf_core.types import Segments

ORDERED = "ranking"
"""The form of late comparisons: a ranking of two needs no query of this round."""


def stored_request(batch: Batch) -> Request:
    """The request of a batch. Raises `StoreError` where its store does not have it."""
    return Store(batch.artifacts).opened().get(batch.ref, Request)


def answers_of(
    request: Request,
    counted: Sequence[CountedAnswer],
    load: Callable[[Batch], Request] = stored_request,
) -> Answers:
    """The answers of a round; rows by question, then by annotator.

    Answers that came late for an earlier round bring their clips along. A late comparison is a
    ranking of two, tied where both were equal; late rankings, ratings and demonstrations stay what
    they are. Late skips say nothing about clips and are left out. So are late clicks: they belong
    to a list that the request must contain.

    Args:
        request: of the round.
        counted: what `LabelStore.collect` gave.
        load: reads the request of an earlier batch.

    Raises:
        ConfigurationError: the clips of an earlier batch are of another kind.
        StoreError: the request of an earlier batch cannot be read.
    """
    judgements: dict[str, Judgements] = {}
    for form, rows in by_form([one for one in counted if not one.late]).items():
        _add(judgements, form, judged(form, request.queries[form], rows))
    brought: Segments | None = None
    late: dict[int, list[CountedAnswer]] = {}
    for one in counted:
        if one.late:
            late.setdefault(one.batch.id, []).append(one)
    for rows in late.values():
        earlier = load(rows[0].batch)
        first = len(request.segments) + (0 if brought is None else len(brought))
        made = {
            form: _late(form, earlier.queries[form], some) for form, some in by_form(rows).items()
        }
        used, moved = _moved(made, len(earlier.segments), first)
        for form, judgement in moved:
            _add(judgements, form, judgement)
        if len(used):
            clips = replace(earlier.segments, replays=None).take(used)
            _check_alike(request.segments, clips, rows[0].batch)
            brought = clips if brought is None else concatenate(brought, clips)
    return Answers(judgements, brought)


def _add(judgements: dict[str, Judgements], form: str, made: Judgements | None) -> None:
    if made is not None:
        known = judgements.get(form)
        judgements[form] = made if known is None else known.joined(made)


def _late(form: str, queries: Queries, rows: Sequence[CountedAnswer]) -> Judgements | None:
    if form == "click":
        return None
    made = judged(form, queries, rows)
    return _as_rankings(queries, made) if isinstance(made, Comparisons) else made


def _as_rankings(queries: Queries, comparisons: Comparisons) -> Rankings | None:
    made = select(comparisons, comparisons.choice != Choice.SKIP)
    if not len(made):
        return None
    pairs = queries.items[made.query]
    right = (made.choice == Choice.RIGHT)[:, None]
    equal = made.choice == Choice.EQUAL
    tied = np.stack([np.zeros_like(equal), equal], axis=1) if equal.any() else None
    return Rankings(
        np.where(right, pairs[:, ::-1], pairs),
        np.ones(len(made), dtype=np.int64),
        made.worker,
        made.seconds,
        made.cost,
        tied,
    )


def _moved(
    made: dict[str, Judgements | None], clips: int, first: int
) -> tuple[np.ndarray, list[tuple[str, Judgements]]]:
    """The clips that judgements are about, and the judgements about them from `first` on."""
    positions = [np.empty(0, dtype=np.int64)]
    for judgements in made.values():
        if isinstance(judgements, Rankings):
            positions.append(judgements.items.ravel())
        elif isinstance(judgements, Ratings):
            positions.append(judgements.segment)
    used = np.unique(np.concatenate(positions))
    place = np.zeros(clips, dtype=np.int64)
    place[used] = first + np.arange(len(used))
    moved: list[tuple[str, Judgements]] = []
    for form, judgements in made.items():
        if isinstance(judgements, Rankings):
            name = ORDERED if form == "comparison" else form
            moved.append((name, replace(judgements, items=place[judgements.items])))
        elif isinstance(judgements, Ratings):
            moved.append((form, replace(judgements, segment=place[judgements.segment])))
        elif judgements is not None:
            moved.append((form, judgements))
    return used, moved


def _check_alike(ours: Segments, theirs: Segments, batch: Batch) -> None:
    for name in ("observations", "actions"):
        expected, actual = (
            f"{array.dtype} {array.shape[1:]}"
            for array in (getattr(ours, name), getattr(theirs, name))
        )
        if expected != actual:
            raise ConfigurationError(
                f"late answers of round {batch.round}: expected clips with {name} of {expected}, "
                f"as this round has, actual: {actual}"
            )
