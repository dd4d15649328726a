"""Judgements as lines that other programs read and write: one JSON object a judgement.

Each line holds the clips it is about, so that it means something by itself. Comparisons, rankings
and ratings have lines; demonstrations, corrections and clicks have none.
"""

import hashlib
from collections.abc import Iterator, Sequence
from typing import Any, Literal

import numpy as np
from pydantic import Field

from rlhf_core.answers import Comparisons, Rankings, Ratings
from rlhf_core.errors import ConfigurationError, UnknownKindError
from rlhf_core.feedback_forms import form_of
from rlhf_core.judgements import EMPTY, WHOLE, Choice, Judgements
from rlhf_core.label_sets.batch import LabelBatch
from rlhf_core.labels import Evidence
from rlhf_core.plugin import Config

CHOICES = {choice.name.lower(): int(choice) for choice in Choice}
"""The answers to a comparison."""


LINED = (Comparisons, Rankings, Ratings)
"""Judgements that have lines."""


class ArrayKind(Config):
    """Type and shape of one observation or action."""

    dtype: Literal[
        "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "uint16", "bool"
    ]
    """Of NumPy."""
    shape: tuple[int, ...] = ()
    """Of one; empty for a single number."""


class Header(Config):
    """The first line: what all clips have in common."""

    rlhf_labels: Literal[1] = 1
    """Version of the format."""
    segment_steps: int = Field(ge=1)
    """L, steps of a clip."""
    observation: ArrayKind
    """Of one observation."""
    action: ArrayKind
    """Of one action."""
    worth: dict[str, int] = Field(default_factory=dict)
    """Labels that one question counts as, by form; 1 else."""


class Clip(Config):
    """One clip: L actions and L + 1 observations."""

    observations: list[Any]
    """L + 1, nested lists of the header's shape."""
    actions: list[Any]
    """L."""
    terminated: list[bool] | None = None
    """L; None: never."""
    mask: list[bool] | None = None
    """L, false where the episode had ended already; None: nowhere."""


class Line(Config):
    """One judgement."""

    form: str = Field(min_length=1, max_length=100)
    """Form of feedback, such as comparison, ranking or rating."""
    clips: list[Clip] = Field(min_length=1)
    """Left and right of a comparison; a ranking's best first; one of a rating."""
    answer: Literal["left", "right", "equal", "skip"] | float | None = None
    """Of a comparison the choice, of a rating the value, of a ranking nothing."""
    step: int | None = Field(None, ge=0)
    """Of a rating: the step after which it was given; None: it is of the whole clip."""
    places: int | None = Field(None, ge=1)
    """Of a ranking: how many places are known; None: all."""
    tied: list[bool] | None = None
    """Of a ranking: true where a clip shares its place with the one before it."""
    question: int | None = Field(None, ge=0)
    """Judgements of one number, form and origin answer one question; None: one of its own."""
    worker: int = Field(0, ge=-1)
    """Who judged; -1 is the expert."""
    seconds: float = Field(0.0, ge=0)
    """Time that it took."""
    cost: float = Field(0.0, ge=0)
    """Its price."""
    origin: str = Field(min_length=1, max_length=1000)
    """Where it comes from."""
    collected_at: float = Field(ge=0)
    """Unix time, in seconds."""


def header_of(evidence: Evidence) -> Header:
    """What is common to the lines of evidence."""
    segments = evidence.segments

    def kind(array: np.ndarray) -> ArrayKind:
        return ArrayKind.model_validate(
            {"dtype": str(array.dtype), "shape": [int(n) for n in array.shape[2:]]}
        )

    worth = {form: queries.worth for form, queries in evidence.queries.items()}
    return Header(
        segment_steps=segments.steps,
        observation=kind(segments.observations),
        action=kind(segments.actions),
        worth=dict(sorted(worth.items())),
    )


def lines_of(batch: LabelBatch) -> Iterator[Line]:
    """The judgements of a batch as lines.

    Raises:
        ConfigurationError: judgements of a form that has no lines.
    """
    for form, judgements in sorted(batch.evidence.judgements.items()):
        for fields in _fields(form, judgements, batch.evidence):
            items = fields.pop("items")
            yield Line(
                form=form,
                clips=[_clip(batch.evidence, int(item)) for item in items],
                origin=batch.origin,
                collected_at=batch.collected_at,
                **fields,
            )


def identity(batch: LabelBatch) -> str | None:
    """A digest of a batch's lines in any order; None where some judgements have no lines.

    A batch that went through a file has the same one, whatever the numbers of its clips.
    """
    if not all(isinstance(made, LINED) for made in batch.evidence.judgements.values()):
        return None
    texts = (line.model_dump_json(exclude={"question"}) for line in lines_of(batch))
    digests = sorted(hashlib.sha256(text.encode()).hexdigest() for text in texts)
    return hashlib.sha256("".join(digests).encode()).hexdigest()


def _fields(form: str, judgements: Judgements, evidence: Evidence) -> Iterator[dict[str, Any]]:
    if not isinstance(judgements, LINED):
        raise ConfigurationError(
            f"labels: expected comparisons, rankings and ratings, which have lines, actual: "
            f"{len(judgements)} of form '{form}'"
        )
    for row in range(len(judgements)):
        common = {
            "worker": int(judgements.worker[row]),
            "seconds": float(judgements.seconds[row]),
            "cost": float(judgements.cost[row]),
        }
        if isinstance(judgements, Comparisons):
            question = int(judgements.query[row])
            answer = Choice(judgements.choice[row]).name.lower()
            items = evidence.queries[form].items[question]
            yield {**common, "items": items, "answer": answer, "question": question}
        elif isinstance(judgements, Rankings):
            present = judgements.items[row] != EMPTY
            tied = None if judgements.tied is None else judgements.tied[row][present].tolist()
            places = int(judgements.places[row])
            items = judgements.items[row][present]
            yield {**common, "items": items, "places": places, "tied": tied}
        else:
            step = int(judgements.step[row])
            value = float(judgements.value[row])
            items = judgements.segment[row : row + 1]
            moment = None if step == WHOLE else step
            yield {**common, "items": items, "answer": value, "step": moment}


def _clip(evidence: Evidence, item: int) -> Clip:
    segments = evidence.segments
    return Clip(
        observations=segments.observations[item].tolist(),
        actions=segments.actions[item].tolist(),
        terminated=segments.terminated[item].tolist(),
        mask=segments.mask[item].tolist(),
    )


def check_line(line: Line, header: Header, where: str) -> None:
    """Raise `ConfigurationError` where a line does not fit its form or the header.

    Args:
        line: one judgement.
        header: of its file.
        where: the file and the line, for the message.
    """
    steps, count = header.segment_steps, len(line.clips)

    def expect(condition: bool, expected: str, actual: object) -> None:
        if not condition:
            raise ConfigurationError(f"{where}: expected {expected}, actual: {actual}")

    try:
        form_of(line.form, ())
    except UnknownKindError as error:
        raise ConfigurationError(f"{where}: form: {error}") from None
    kind = kind_of(line)
    if kind is Comparisons:
        expect(count == 2, "two clips in a comparison", count)
    elif kind is Rankings:
        expect(count >= 2, "two clips or more in a ranking", count)
        known = count - 1 if line.places is None else line.places
        expect(known < count, f"at most {count - 1} places of {count} clips", known)
        expect(line.tied is None or len(line.tied) == count, f"tied: {count} entries", line.tied)
    else:
        expect(count == 1, "one clip in a rating", count)
        expect(line.step is None or line.step < steps, f"step: less than {steps}", line.step)
    for place, clip in enumerate(line.clips):
        inside = f"{where}, clip {place + 1}"
        array_of(clip.observations, header.observation, steps + 1, f"{inside}, observations")
        array_of(clip.actions, header.action, steps, f"{inside}, actions")
        for name in ("terminated", "mask"):
            flags = getattr(clip, name)
            expect(flags is None or len(flags) == steps, f"{name}: {steps} entries", flags)


def kind_of(line: Line) -> type[Judgements]:
    """The type of a judgement, told by its answer."""
    if isinstance(line.answer, str):
        return Comparisons
    return Rankings if line.answer is None else Ratings


def array_of(content: Sequence[Any], kind: ArrayKind, rows: int, where: str) -> np.ndarray:
    """Nested lists as an array of `rows` rows of this kind.

    Raises:
        ConfigurationError: they have another shape, or hold what is no finite number of the type.
    """
    expected = f"{rows} rows of shape {kind.shape} and type {kind.dtype}"
    try:
        given = np.asarray(content)
        with np.errstate(over="ignore", invalid="ignore"):
            array = given.astype(kind.dtype)
    except (ValueError, TypeError, OverflowError):
        raise ConfigurationError(f"{where}: expected {expected}, actual: other things") from None
    if given.dtype.kind not in "biuf":
        raise ConfigurationError(f"{where}: expected {expected}, actual: {given.dtype}")
    if array.shape != (rows, *kind.shape):
        raise ConfigurationError(f"{where}: expected {expected}, actual: shape {array.shape}")
    if not np.isfinite(array.astype(np.float64)).all():
        raise ConfigurationError(f"{where}: expected finite numbers, actual: some are not")
    if array.dtype.kind in "biu" and (array != given).any():
        raise ConfigurationError(f"{where}: expected {expected}, actual: numbers out of its range")
    return array
