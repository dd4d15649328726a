"""Collections: which answers a round takes, written once."""

from collections.abc import Collection
from typing import Any

from sqlalchemy import Connection, Select, insert, select

from rlhf_core.labelling.store import audit, batches, campaigns, tables
from rlhf_core.labelling.store.records import AnswerGroup, Batch, CountedAnswer
from rlhf_core.labelling.store.tables import (
    annotators,
    answers,
    assignments,
    collected,
    collections,
    episodes,
    questions,
)


def collect(connection: Connection, now: float, batch_id: int) -> tuple[CountedAnswer, ...]:
    """The answers that the round of a batch takes; the same ones each time.

    They are the counted answers of the batch and those of batches collected before that came after
    their collection. An answer is in one collection at the most, and so is an assignment: a
    revision of a collected answer is kept and changes no round.

    Args:
        connection: of a transaction that writes.
        now: Unix time, in seconds.
        batch_id: the batch.
    """
    batch = batches.find(connection, batch_id)
    campaigns.find(connection, batch.campaign_id, lock=True)
    query = select(collections.c.id).where(collections.c.batch_id == batch_id)
    known = connection.scalar(query)
    if known is None:
        ids = _to_take(connection, batch)
        values = {"batch_id": batch_id, "collected_at": now}
        key = connection.execute(insert(collections).values(**values)).inserted_primary_key
        assert key is not None, "the row was inserted"
        known = key[0]
        rows = [
            {"collection_id": known, "position": place, "answer_id": a, "assignment_id": b}
            for place, (a, b) in enumerate(ids)
        ]
        if rows:
            connection.execute(insert(collected), rows)
        audit.record(
            connection, now, batch.campaign_id, "run", "answers collected",
            round=batch.round, part=batch.part, answers=len(rows),
        )  # fmt: skip
    return _taken(connection, known, batch)


def _to_take(connection: Connection, batch: Batch) -> list[tuple[int, str]]:
    earlier = (
        select(tables.batches.c.id)
        .join(collections, collections.c.batch_id == tables.batches.c.id)
        .where(tables.batches.c.campaign_id == batch.campaign_id)
    )
    query = (
        select(assignments.c.answer_id, assignments.c.id)
        .join(questions, questions.c.id == assignments.c.question_id)
        .join(annotators, annotators.c.id == assignments.c.annotator_id)
        .outerjoin(collected, collected.c.assignment_id == assignments.c.id)
        .where(
            questions.c.stage == "work",
            (questions.c.batch_id == batch.id) | questions.c.batch_id.in_(earlier),
            assignments.c.answer_id.is_not(None),
            assignments.c.counted,
            annotators.c.active,
            collected.c.answer_id.is_(None),
        )
        .order_by(questions.c.id, annotators.c.number)
    )
    return [(row[0], row[1]) for row in connection.execute(query)]


def groups_of(connection: Connection, campaign_id: int) -> list[AnswerGroup]:
    """All counted answers of a campaign: those of each collection, then those of none."""
    query = (
        select(collections.c.id, collections.c.batch_id, collections.c.collected_at)
        .join(tables.batches, tables.batches.c.id == collections.c.batch_id)
        .where(tables.batches.c.campaign_id == campaign_id)
        .order_by(collections.c.id)
    )
    rows = connection.execute(query).all()
    groups = [
        AnswerGroup(row.collected_at, _taken(connection, row.id, batches.find(connection, row[1])))
        for row in rows
    ]
    waiting = _answers().where(
        questions.c.campaign_id == campaign_id,
        questions.c.stage == "work",
        assignments.c.answer_id == answers.c.id,
        assignments.c.counted,
        annotators.c.active,
        assignments.c.id.not_in(select(collected.c.assignment_id)),
    )
    waiting = waiting.order_by(questions.c.id, annotators.c.number)
    known = {row.batch_id for row in rows}
    left = _records(connection, waiting, campaign_id, known)
    return [*groups, AnswerGroup(None, left)] if left else groups


def _taken(connection: Connection, collection_id: int, batch: Batch) -> tuple[CountedAnswer, ...]:
    query = _answers().join(collected, collected.c.answer_id == answers.c.id)
    query = query.where(collected.c.collection_id == collection_id)
    query = query.order_by(collected.c.position)
    known = {one.id for one in batches.of_campaign(connection, batch.campaign_id)}
    return _records(connection, query, batch.campaign_id, known - {batch.id})


def _answers() -> Select[Any]:
    return (
        select(
            answers.c.id,
            answers.c.answer,
            answers.c.seconds,
            answers.c.received_at,
            answers.c.assignment_id,
            questions.c.batch_id,
            questions.c.identifier,
            questions.c.form,
            questions.c.row,
            annotators.c.number,
        )
        .select_from(answers)
        .join(assignments, assignments.c.id == answers.c.assignment_id)
        .join(questions, questions.c.id == assignments.c.question_id)
        .join(annotators, annotators.c.id == assignments.c.annotator_id)
    )


def _records(
    connection: Connection, query: Select[Any], campaign_id: int, late: Collection[int]
) -> tuple[CountedAnswer, ...]:
    """Rows as records. `late` has the batches whose answers come too late for their round."""
    price = campaigns.find(connection, campaign_id).settings.price
    known = {one.id: one for one in batches.of_campaign(connection, campaign_id)}
    return tuple(
        CountedAnswer(
            answer_id=row.id,
            batch=known[row.batch_id],
            late=row.batch_id in late,
            question=row.identifier,
            form=row.form,
            row=row.row,
            annotator=row.number,
            answer=row.answer,
            seconds=row.seconds,
            price=price,
            received_at=row.received_at,
            episode=_episode(connection, row.answer),
        )
        for row in connection.execute(query).all()
    )


def _episode(connection: Connection, answer: dict[str, object]) -> bytes | None:
    name = answer.get("episode")
    if name is None:
        return None
    return connection.scalar(select(episodes.c.content).where(episodes.c.id == name))
