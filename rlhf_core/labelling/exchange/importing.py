"""Files of labels as answers to the questions of a campaign, all of a file or nothing.

A line answers the question that is about the same clips, compared byte by byte.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from rlhf_core.answers import Comparisons, Rankings
from rlhf_core.errors import ConfigurationError
from rlhf_core.judgements import EXPERT
from rlhf_core.label_sets.files import read_lines
from rlhf_core.label_sets.lines import Clip, Header, Line, array_of, kind_of
from rlhf_core.labelling.exchange.answering import stored_request
from rlhf_core.labelling.forms import check_answer
from rlhf_core.labelling.store import Batch, ImportedAnswer, LabelStore, Question
from rlhf_core.labelling.store.audit import OWNER
from rlhf_core.questions import Request
from rlhf_core.types import Segments


class _Asked(NamedTuple):
    question: Question
    clips: tuple[bytes, ...]
    """Digests, in the order in which the clips are shown."""


def import_answers(
    store: LabelStore,
    campaign_id: int,
    path: Path,
    name: str = "imported",
    actor: str = OWNER,
    load: Callable[[Batch], Request] = stored_request,
) -> int:
    """Store the judgements of a file as answers to a campaign's questions.

    Each worker of the file is an annotator of the campaign. A file that was imported before, under
    the same name, adds nothing. The answers cost what the campaign pays.

    Args:
        store: the label store.
        campaign_id: the campaign.
        path: ends in .jsonl or .parquet.
        name: of the annotators, before the worker's number.
        actor: who imports it, for the audit.
        load: reads the request of a batch.

    Returns:
        The number of answers that were new.

    Raises:
        ConfigurationError: a line is wrong, or answers no question; nothing is stored then.
    """
    header, lines = read_lines(path)
    asked = _asked(store, campaign_id, header, path, load)
    given: Counter[tuple[Any, ...]] = Counter()
    imported = []
    for where, line in lines:
        clips = tuple(_line_digest(clip, header) for clip in line.clips)
        about = _about(line.form, line.step, clips, kind_of(line) is Comparisons)
        questions = asked.get(about, [])
        if not questions:
            raise ConfigurationError(
                f"{where}: expected the clips of a question of form '{line.form}' of campaign "
                f"{campaign_id}, actual: others"
            )
        place = given[line.worker, about]
        given[line.worker, about] += 1
        if place >= len(questions):
            raise ConfigurationError(
                f"{where}: expected one answer of worker {line.worker} to each question, actual: "
                "a second one"
            )
        question, shown = questions[place]
        answer = check_answer(
            line.form, question.settings, len(shown), _answer(line, clips, shown, where), where
        )
        content = f"{question.id} {line.model_dump_json(exclude={'question'})}"
        imported.append(
            ImportedAnswer(
                where,
                f"{name} expert" if line.worker == EXPERT else f"{name} {line.worker}",
                question.id,
                hashlib.sha256(content.encode()).hexdigest(),
                answer,
                line.seconds,
            )
        )
    return store.add_answers(campaign_id, imported, actor)


def _asked(
    store: LabelStore,
    campaign_id: int,
    header: Header,
    path: Path,
    load: Callable[[Batch], Request],
) -> dict[tuple[Any, ...], list[_Asked]]:
    """The campaign's questions by what they are about."""
    asked: dict[tuple[Any, ...], list[_Asked]] = {}
    segments: dict[int, Segments] = {}
    for batch in store.batches(campaign_id):
        segments[batch.id] = load(batch).segments
        _check_header(header, segments[batch.id], path)
    digests: dict[tuple[int, int], bytes] = {}
    for question in store.questions(campaign_id):
        if question.stage != "work":
            continue
        for clip in question.clips:
            if (question.batch_id, clip) not in digests:
                digests[question.batch_id, clip] = _digest(segments[question.batch_id], clip)
        clips = tuple(digests[question.batch_id, clip] for clip in question.clips)
        about = _about(question.form, question.step, clips, question.form == "comparison")
        asked.setdefault(about, []).append(_Asked(question, clips))
    return asked


def _about(form: str, step: int | None, clips: tuple[bytes, ...], ordered: bool) -> tuple[Any, ...]:
    return form, step, clips if ordered else tuple(sorted(clips))


def _answer(
    line: Line, clips: tuple[bytes, ...], shown: tuple[bytes, ...], where: str
) -> dict[str, Any]:
    kind = kind_of(line)
    if kind is Comparisons:
        return {"choice": line.answer}
    if kind is not Rankings:
        return {"value": line.answer}
    if line.tied is not None and any(line.tied):
        raise ConfigurationError(f"{where}: expected a ranking without ties, actual: ties")
    free = list(range(len(shown)))
    order = []
    for clip in clips:
        position = next(place for place in free if shown[place] == clip)
        free.remove(position)
        order.append(position)
    return {"order": order, "places": len(clips) - 1 if line.places is None else line.places}


def _check_header(header: Header, segments: Segments, path: Path) -> None:
    for name, kind, array, rows in (
        ("observations", header.observation, segments.observations, header.segment_steps + 1),
        ("actions", header.action, segments.actions, header.segment_steps),
    ):
        actual = f"{rows} of {kind.dtype} {tuple(kind.shape)}"
        expected = f"{array.shape[1]} of {array.dtype} {tuple(array.shape[2:])}"
        if actual != expected:
            raise ConfigurationError(
                f"{path}, header: expected clips with {name} {expected}, as the campaign has them, "
                f"actual: {actual}"
            )


def _line_digest(clip: Clip, header: Header) -> bytes:
    steps = header.segment_steps
    return _hashed(
        iter(
            (
                array_of(clip.observations, header.observation, steps + 1, "observations"),
                array_of(clip.actions, header.action, steps, "actions"),
                np.array(clip.terminated or [False] * steps, dtype=bool),
                np.array(clip.mask or [True] * steps, dtype=bool),
            )
        )
    )


def _digest(segments: Segments, item: int) -> bytes:
    columns = (segments.observations, segments.actions, segments.terminated, segments.mask)
    return _hashed(column[item] for column in columns)


def _hashed(arrays: Iterator[np.ndarray]) -> bytes:
    content = hashlib.sha256()
    for array in arrays:
        content.update(np.ascontiguousarray(array).tobytes())
    return content.digest()
