"""Lines put together as batches: the way back of `rlhf_core.label_sets.lines`."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from rlhf_core.answers import Comparisons, Rankings, Ratings
from rlhf_core.errors import ConfigurationError
from rlhf_core.judgements import EMPTY, WHOLE, Judgements
from rlhf_core.label_sets.batch import LabelBatch
from rlhf_core.label_sets.lines import CHOICES, Clip, Header, Line, array_of, kind_of
from rlhf_core.labels import Evidence
from rlhf_core.questions import Queries
from rlhf_core.types import Segments


def batches_of(header: Header, lines: Sequence[Line]) -> list[LabelBatch]:
    """Make a batch of the lines of each origin and time, in the order in which they first come.

    Equal clips of a batch are stored once. The lines have passed `check_line`.

    Raises:
        ConfigurationError: one form has lines of several kinds or sizes.
    """
    groups: dict[tuple[str, float], list[Line]] = {}
    for line in lines:
        groups.setdefault((line.origin, line.collected_at), []).append(line)
    return [
        LabelBatch(_evidence(header, group), origin, collected_at)
        for (origin, collected_at), group in groups.items()
    ]


class _Clips:
    """Clips of a batch; equal ones have one position."""

    def __init__(self, header: Header) -> None:
        self._header = header
        self._places: dict[bytes, int] = {}
        self._rows: list[tuple[np.ndarray, ...]] = []

    def place(self, clip: Clip) -> int:
        steps = self._header.segment_steps
        row = (
            array_of(clip.actions, self._header.action, steps, "actions"),
            array_of(clip.observations, self._header.observation, steps + 1, "observations"),
            np.array(clip.terminated or [False] * steps, dtype=bool),
            np.array(clip.mask or [True] * steps, dtype=bool),
        )
        key = b"".join(np.ascontiguousarray(part).tobytes() for part in row)
        if key not in self._places:
            self._places[key] = len(self._rows)
            self._rows.append(row)
        return self._places[key]

    def segments(self) -> Segments:
        actions, observations, terminated, mask = (
            np.stack(parts) for parts in zip(*self._rows, strict=True)
        )
        origin = np.zeros((len(self._rows), 2), dtype=np.int64)
        return Segments(actions, observations, terminated, mask, origin)


def _evidence(header: Header, lines: Sequence[Line]) -> Evidence:
    clips = _Clips(header)
    forms: dict[str, list[Line]] = {}
    for line in lines:
        forms.setdefault(line.form, []).append(line)
    queries: dict[str, Queries] = {}
    judgements: dict[str, Judgements] = {}
    for form, members in sorted(forms.items()):
        kinds = {kind_of(line) for line in members}
        if len(kinds) > 1:
            names = sorted(kind.__name__.lower() for kind in kinds)
            raise ConfigurationError(
                f"form '{form}': expected judgements of one kind, actual: {names}"
            )
        (kind,) = kinds
        items = [[clips.place(clip) for clip in line.clips] for line in members]
        columns = {
            "worker": np.array([line.worker for line in members], dtype=np.int64),
            "seconds": np.array([line.seconds for line in members]),
            "cost": np.array([line.cost for line in members]),
        }
        made = _FORMS[kind](form, members, items, columns)
        asked, judgements[form] = made
        worth = header.worth.get(form, 1)
        queries[form] = Queries(asked.items, asked.step, worth, f'{{"kind": "{form}"}}')
    return Evidence(clips.segments(), queries, judgements)


Made = tuple[Queries, Judgements]


def _comparisons(
    form: str, lines: Sequence[Line], items: list[list[int]], columns: dict[str, np.ndarray]
) -> Made:
    pairs: list[list[int]] = []
    known: dict[int, int] = {}
    query = []
    for line, pair in zip(lines, items, strict=True):
        place = None if line.question is None else known.get(line.question)
        if place is not None and pairs[place] != pair:
            raise ConfigurationError(
                f"form '{form}', question {line.question}: expected the same clips in all of its "
                "judgements, actual: others"
            )
        if place is None:
            place = len(pairs)
            pairs.append(pair)
            if line.question is not None:
                known[line.question] = place
        query.append(place)
    choice = np.array([CHOICES[str(line.answer)] for line in lines], dtype=np.int64)
    asked = Queries(np.array(pairs, dtype=np.int64))
    return asked, Comparisons(np.array(query, dtype=np.int64), choice=choice, **columns)


def _rankings(
    form: str, lines: Sequence[Line], items: list[list[int]], columns: dict[str, np.ndarray]
) -> Made:
    width = max(map(len, items))

    def wide(rows: Sequence[Sequence[Any]], filling: Any) -> np.ndarray:
        return np.array([[*row, *[filling] * (width - len(row))] for row in rows])

    places = [
        len(row) - 1 if line.places is None else line.places
        for line, row in zip(lines, items, strict=True)
    ]
    tied = None
    if any(line.tied is not None for line in lines):
        rows = zip(lines, items, strict=True)
        tied = wide([line.tied or [False] * len(row) for line, row in rows], False)
    ranked = wide(items, EMPTY)
    made = Rankings(ranked, np.array(places, dtype=np.int64), tied=tied, **columns)
    # A question has no empty place: a shorter one names its best clip again.
    asked = np.where(ranked == EMPTY, ranked[:, :1], ranked)
    return Queries(np.sort(asked, axis=1)), made


def _ratings(
    form: str, lines: Sequence[Line], items: list[list[int]], columns: dict[str, np.ndarray]
) -> Made:
    segment = np.array([row[0] for row in items], dtype=np.int64)
    moments = [WHOLE if line.step is None else line.step for line in lines]
    step = np.array(moments, dtype=np.int64)
    values = (line.answer for line in lines)
    value = np.array([v for v in values if isinstance(v, float)], dtype=np.float64)
    asked = Queries(segment[:, None], step if (step != WHOLE).any() else None)
    return asked, Ratings(segment, step, value, **columns)


_FORMS = {Comparisons: _comparisons, Rankings: _rankings, Ratings: _ratings}
