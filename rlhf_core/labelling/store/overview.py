"""What the owner's page and exports are made of: all answers as flat rows."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, select

from rlhf_core.labelling.store.tables import (
    annotators,
    answers,
    assignments,
    batches,
    collected,
    questions,
)


@dataclass(frozen=True)
class AnswerRow:
    """The newest answer of an assignment, with everything around it."""

    answer_id: int
    round: int
    part: int
    stage: str
    """work, training or gold."""
    question_id: int
    question: str
    """Identifier."""
    form: str
    clips: tuple[int, ...]
    known: Mapping[str, Any] | None
    annotator: int
    """Number."""
    name: str
    active: bool
    answer: Mapping[str, Any]
    skipped: bool
    seconds: float
    received_at: float
    counted: bool
    """Whether it is among the answers that the question needs, and its annotator is active."""
    collected: bool
    """Whether a round has taken it."""


def answers_of(connection: Connection, campaign_id: int) -> list[AnswerRow]:
    """The newest answer of each assignment of a campaign, by question and annotator."""
    query = (
        select(
            answers.c.id,
            batches.c.round,
            batches.c.part,
            questions.c.stage,
            questions.c.id.label("question_id"),
            questions.c.identifier,
            questions.c.form,
            questions.c.clips,
            questions.c.known,
            annotators.c.number,
            annotators.c.name,
            annotators.c.active,
            answers.c.answer,
            answers.c.skipped,
            answers.c.seconds,
            answers.c.received_at,
            assignments.c.counted,
            collected.c.answer_id.label("collected"),
        )
        .select_from(assignments)
        .join(answers, answers.c.id == assignments.c.answer_id)
        .join(questions, questions.c.id == assignments.c.question_id)
        .join(batches, batches.c.id == questions.c.batch_id)
        .join(annotators, annotators.c.id == assignments.c.annotator_id)
        .outerjoin(collected, collected.c.answer_id == answers.c.id)
        .where(questions.c.campaign_id == campaign_id)
        .order_by(questions.c.id, annotators.c.number)
    )
    return [
        AnswerRow(
            answer_id=row.id,
            round=row.round,
            part=row.part,
            stage=row.stage,
            question_id=row.question_id,
            question=row.identifier,
            form=row.form,
            clips=tuple(row.clips),
            known=row.known,
            annotator=row.number,
            name=row.name,
            active=row.active,
            answer=row.answer,
            skipped=row.skipped,
            seconds=row.seconds,
            received_at=row.received_at,
            counted=bool(row.counted and row.active),
            collected=row.collected is not None,
        )
        for row in connection.execute(query)
    ]
