"""Answers: added, never changed; the newest revision of an assignment counts."""

import math
from collections.abc import Sequence
from statistics import median

from sqlalchemy import Connection, insert, select, update

from rlhf_core.errors import ConfigurationError, LabellingError
from rlhf_core.labelling.forms import check_answer, is_correct, is_skip
from rlhf_core.labelling.store import annotators, batches, campaigns
from rlhf_core.labelling.store import assignments as leases
from rlhf_core.labelling.store.counting import recount
from rlhf_core.labelling.store.records import (
    Annotator,
    AnnotatorProgress,
    Assignment,
    Receipt,
    Submission,
)
from rlhf_core.labelling.store.tables import answers, assignments, collected, episodes, questions

KEY_LENGTH = 64
EVENTS = 1000
"""Entries of an answer's event log."""
LONGEST = 10 * 24 * 3600.0
"""Seconds that an answer may take."""


def submit(
    connection: Connection, now: float, annotator: Annotator, submission: Submission
) -> Receipt:
    """Store an answer. The same key again returns the first receipt and stores nothing.

    Args:
        connection: of a transaction that writes; the answer is safe when it has ended.
        now: Unix time, in seconds.
        annotator: who answers.
        submission: the answer.

    Raises:
        LabellingError: the item is not the annotator's, or the key was used for another one.
        ConfigurationError: the answer does not fit the question.
    """
    _check(submission)
    campaign = campaigns.find(connection, annotator.campaign_id, lock=True)
    annotator = annotators.find(connection, annotator.id)
    known = connection.execute(
        select(answers.c.id, answers.c.assignment_id, answers.c.receipt).where(
            answers.c.annotator_id == annotator.id, answers.c.key == submission.key
        )
    ).first()
    if known is not None:
        if known.assignment_id != submission.assignment:
            raise LabellingError("this key belongs to an answer to another item", "conflict")
        return Receipt(known.id, **known.receipt, repeated=True)
    assignment = leases.find(connection, annotator, submission.assignment)
    question = assignment.question
    answer = check_answer(question.form, question.settings, len(question.clips), submission.answer)
    if "episode" in answer:
        _check_episode(connection, assignment, answer["episode"])
    key = connection.execute(
        insert(answers).values(
            assignment_id=assignment.id,
            annotator_id=annotator.id,
            key=submission.key,
            sequence=submission.sequence,
            answer=answer,
            skipped=is_skip(answer),
            seconds=submission.seconds,
            events=[list(event) for event in submission.events],
            page_version=submission.page_version,
            received_at=now,
            receipt={},
        )
    ).inserted_primary_key
    assert key is not None, "the row was inserted"
    newest = assignment.sequence is None or submission.sequence >= assignment.sequence
    if newest:
        change = update(assignments).where(assignments.c.id == assignment.id)
        values = {"answer_id": key[0], "state": "skipped" if is_skip(answer) else "answered"}
        if assignment.sequence is None:
            values["first_answer"] = key[0]
        connection.execute(change.values(**values))
    counts, late, correct, text = newest, False, None, ""
    if question.stage == "work":
        recount(connection, question.id, campaign.settings.answers_per_question)
        late = batches.is_collected(connection, question.batch_id)
        counts = newest and annotator.active and _counts(connection, assignment.id)
    elif question.stage == "training":
        assert question.known is not None, "training questions have a known answer"
        correct, text = is_correct(question.known, answer), question.explanation
    receipt = {"counted": counts, "late": late, "correct": correct, "explanation": text}
    # In the same transaction: the receipt says what the recount found.
    connection.execute(update(answers).where(answers.c.id == key[0]).values(receipt=receipt))
    return Receipt(key[0], counts, late, correct, text, repeated=False)


def _counts(connection: Connection, assignment_id: str) -> bool:
    """Whether a round can still take the newest answer of an assignment."""
    query = (
        select(assignments.c.counted)
        .outerjoin(collected, collected.c.assignment_id == assignments.c.id)
        .where(assignments.c.id == assignment_id, collected.c.answer_id.is_(None))
    )
    return bool(connection.scalar(query))


def _check(submission: Submission) -> None:
    def expect(condition: bool, field: str, expected: str, actual: object) -> None:
        if not condition:
            raise ConfigurationError(f"{field}: expected {expected}, actual: {actual}")

    key = submission.key
    plain = key.isascii() and key.replace("-", "").replace("_", "").isalnum()
    expect(plain and 8 <= len(key) <= KEY_LENGTH, "key", "8 to 64 letters and digits", len(key))
    expect(0 <= submission.sequence < 2**53, "sequence", "0 to 2^53", submission.sequence)
    seconds = submission.seconds
    possible = math.isfinite(seconds) and 0 <= seconds <= LONGEST
    expect(possible, "seconds", f"0 to {LONGEST:g}", seconds)
    expect(len(submission.events) <= EVENTS, "events", f"{EVENTS} at most", len(submission.events))
    for moment, name in submission.events:
        expect(math.isfinite(moment), "events", "finite times", moment)
        short = len(name) <= 40 and (not name or name.isprintable())
        expect(short, "events", "names of 40 printable characters at most", len(name))
    version = submission.page_version
    printable = not version or version.isprintable()
    expect(len(version) <= 64 and printable, "page_version", "64 characters at most", len(version))


def _check_episode(connection: Connection, assignment: Assignment, name: str) -> None:
    query = select(episodes.c.id).where(
        episodes.c.id == name, episodes.c.assignment_id == assignment.id
    )
    if connection.scalar(query) is None:
        raise ConfigurationError(
            "answer.episode: expected an episode that was played for this item, actual: another"
        )


def add_episode(
    connection: Connection, now: float, annotator: Annotator, assignment_id: str, name: str,
    content: bytes,
) -> None:  # fmt: skip
    """Store a played episode, to which an answer can refer."""
    assignment = leases.find(connection, annotator, assignment_id)
    if connection.scalar(select(episodes.c.id).where(episodes.c.id == name)) is None:
        row = {"id": name, "assignment_id": assignment.id, "content": content, "created": now}
        connection.execute(insert(episodes).values(**row))


def progress(connection: Connection, now: float, annotator: Annotator) -> AnnotatorProgress:
    """How far an annotator is."""
    mine = leases.of_annotator(connection, annotator.id)
    work = [one for one in mine if one.question.stage != "training"]
    training = [one for one in mine if one.question.stage == "training"]
    settings = campaigns.find(connection, annotator.campaign_id).settings
    query = select(questions.c.id).where(
        questions.c.campaign_id == annotator.campaign_id, questions.c.stage == "training"
    )
    there = len(connection.scalars(query).all())
    return AnnotatorProgress(
        done=sum(one.state != "open" for one in work),
        skipped=sum(one.state == "skipped" for one in work),
        remaining=leases.remaining(connection, now, annotator),
        training_done=sum(one.state != "open" for one in training),
        training_total=min(settings.training, there),
        seconds_per_answer=_median_seconds(connection, annotator),
        items=tuple((one.id, one.index, one.state) for one in mine),
    )


def _median_seconds(connection: Connection, annotator: Annotator) -> float | None:
    query = (
        select(answers.c.seconds)
        .join(assignments, assignments.c.answer_id == answers.c.id)
        .where(assignments.c.annotator_id == annotator.id, assignments.c.state == "answered")
    )
    seconds: Sequence[float] = connection.scalars(query).all()
    return median(seconds) if seconds else None
