"""Assignments: questions leased to annotators, nobody the same one twice."""

import secrets
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, func, insert, select, update

from rlhf_core.errors import LabellingError
from rlhf_core.labelling.store import annotators, campaigns
from rlhf_core.labelling.store.batches import QUESTION, question_of
from rlhf_core.labelling.store.counting import count_free, counts_of, free_questions
from rlhf_core.labelling.store.records import Annotator, Assignment, Campaign, Offer, Question
from rlhf_core.labelling.store.tables import answers, assignments, batches, collections, questions

MOST = 50
"""Items of one offer."""


def offer(connection: Connection, now: float, annotator: Annotator, count: int) -> Offer:
    """What an annotator can do now: what is open already, then training, then work.

    A lease begins again with each offer. One that ran out goes to others, and comes back while the
    question still needs an answer.

    Args:
        connection: of a transaction that writes.
        now: Unix time, in seconds.
        annotator: who asks.
        count: items at the most.
    """
    campaign = campaigns.find(connection, annotator.campaign_id, lock=True)
    annotator = annotators.find(connection, annotator.id)
    if campaign.status != "open" or not annotator.active:
        return Offer((), False)
    count = min(count, MOST)
    chosen = open_batches(connection, campaign.id)
    kept = _open(connection, annotator, campaign, chosen, now)[:count]
    until = now + campaign.settings.lease_seconds
    if kept:
        ids = [one.id for one in kept]
        change = update(assignments).where(assignments.c.id.in_(ids))
        connection.execute(change.values(lease_until=until))
    had = _had(connection, annotator.id)
    fresh = list(_new(connection, campaign, annotator, had, chosen, now, count - len(kept)))
    rows = [
        {
            "id": secrets.token_hex(16),
            "annotator_id": annotator.id,
            "question_id": question_id,
            "index": had.total() + place,
            "leased": now,
            "lease_until": until,
            "state": "open",
            "counted": False,
        }
        for place, question_id in enumerate(fresh)
    ]
    if rows:
        connection.execute(insert(assignments), rows)
    wanted = [*(one.id for one in kept), *(str(row["id"]) for row in rows)]
    items = tuple(_chosen(connection, assignments.c.id.in_(wanted)))
    return Offer(items, waiting=not items)


def remaining(connection: Connection, now: float, annotator: Annotator) -> int:
    """Questions, training left out, that wait for an annotator or may still be offered."""
    campaign = campaigns.find(connection, annotator.campaign_id)
    if not annotator.active:
        return 0
    chosen = open_batches(connection, campaign.id)
    kept = _open(connection, annotator, campaign, chosen, now)
    wanted = campaign.settings.answers_per_question
    free = count_free(connection, chosen, annotator.id, wanted, now)
    return sum(one.question.stage != "training" for one in kept) + free


def open_batches(connection: Connection, campaign_id: int) -> list[int]:
    """Batches of which no round has taken the answers."""
    query = (
        select(batches.c.id)
        .outerjoin(collections, collections.c.batch_id == batches.c.id)
        .where(batches.c.campaign_id == campaign_id, collections.c.id.is_(None))
        .order_by(batches.c.round, batches.c.part)
    )
    return list(connection.scalars(query))


def _open(
    connection: Connection,
    annotator: Annotator,
    campaign: Campaign,
    chosen: Sequence[int],
    now: float,
) -> list[Assignment]:
    """Items of an annotator that wait for an answer which is still needed."""
    mine = assignments.c.annotator_id == annotator.id
    waiting = _chosen(connection, mine & (assignments.c.state == "open"))
    counts = counts_of(connection, [one.question.id for one in waiting], now)
    needed = campaign.settings.answers_per_question
    return [
        one
        for one in waiting
        if one.question.stage != "work"
        or (
            one.question.batch_id in chosen
            and (one.lease_until > now or counts[one.question.id].takes(needed))
        )
    ]


def _had(connection: Connection, annotator_id: int) -> Counter[str]:
    """How many items of each stage an annotator was given."""
    query = (
        select(questions.c.stage, func.count())
        .join(assignments, assignments.c.question_id == questions.c.id)
        .where(assignments.c.annotator_id == annotator_id)
        .group_by(questions.c.stage)
    )
    return Counter({row[0]: row[1] for row in connection.execute(query)})


def _new(
    connection: Connection,
    campaign: Campaign,
    annotator: Annotator,
    had: Mapping[str, int],
    chosen: Sequence[int],
    now: float,
    count: int,
) -> Iterable[int]:
    """Questions that an annotator has not had, `count` at the most."""
    if count <= 0:
        return
    settings = campaign.settings
    training, gold = (
        _with_answers(connection, campaign.id, annotator.id, stage) if needed else []
        for stage, needed in (("training", settings.training), ("gold", settings.gold_share))
    )
    work = free_questions(
        connection, chosen, annotator.id, settings.answers_per_question, now, count
    )
    practised, tested, done = had["training"], had["gold"], had["work"]
    for _ in range(count):
        if training and practised < settings.training:
            practised += 1
            yield training.pop(0)
        elif gold and work and tested + 1 <= settings.gold_share * (done + tested + 1):
            tested += 1
            yield gold.pop(0)
        elif work:
            done += 1
            yield work.pop(0)
        else:
            return


def _with_answers(
    connection: Connection, campaign_id: int, annotator_id: int, stage: str
) -> list[int]:
    """Questions of a stage that an annotator has not had."""
    had = select(assignments.c.question_id).where(assignments.c.annotator_id == annotator_id)
    query = select(questions.c.id).where(
        questions.c.campaign_id == campaign_id,
        questions.c.stage == stage,
        questions.c.id.not_in(had),
    )
    return list(connection.scalars(query.order_by(questions.c.id)))


def of_annotator(connection: Connection, annotator_id: int) -> list[Assignment]:
    """All assignments of an annotator in the order in which they were given."""
    return _chosen(connection, assignments.c.annotator_id == annotator_id)


def _chosen(connection: Connection, condition: ColumnElement[bool]) -> list[Assignment]:
    rows = connection.execute(_query().where(condition).order_by(assignments.c.index)).mappings()
    return [_assignment(row) for row in rows]


def find(connection: Connection, annotator: Annotator, assignment_id: str) -> Assignment:
    """An assignment of this annotator.

    Raises:
        LabellingError: there is none, or it is another's; the message is the same.
    """
    query = _query().where(
        assignments.c.id == assignment_id, assignments.c.annotator_id == annotator.id
    )
    there = is_identifier(assignment_id)
    row = connection.execute(query).mappings().first() if there else None
    if row is None:
        raise LabellingError("there is no such item among yours", "unknown")
    return _assignment(row)


def is_identifier(text: str) -> bool:
    """Whether it can name an item or a question; other texts are no values of a database."""
    return text.isascii() and text.isprintable()


def question_of_identifier(
    connection: Connection, identifier: str, campaign_id: int | None, annotator_id: int | None
) -> Question | None:
    """A question by its identifier; None where there is none, or the annotator was not given it.

    Args:
        connection: of a transaction.
        identifier: `Request.ids(form)[row]`.
        campaign_id: where to look; None: anywhere.
        annotator_id: who must have been given it; None: the owner looks.
    """
    if not is_identifier(identifier):
        return None
    query = select(questions).where(questions.c.identifier == identifier)
    if campaign_id is not None:
        query = query.where(questions.c.campaign_id == campaign_id)
    if annotator_id is not None:
        query = query.join(assignments, assignments.c.question_id == questions.c.id)
        query = query.where(assignments.c.annotator_id == annotator_id)
    row = connection.execute(query.order_by(questions.c.id).limit(1)).mappings().first()
    return None if row is None else question_of(row)


def _query() -> Select[Any]:
    names = [questions.c[name] for name in QUESTION if name != "id"]
    return (
        select(
            assignments.c.id.label("assignment_id"),
            assignments.c.annotator_id,
            assignments.c.index,
            assignments.c.lease_until,
            assignments.c.state,
            questions.c.id,
            *names,
            answers.c.answer,
            answers.c.sequence,
        )
        .join(questions, questions.c.id == assignments.c.question_id)
        .outerjoin(answers, answers.c.id == assignments.c.answer_id)
    )


def _assignment(row: Mapping[Any, Any]) -> Assignment:
    return Assignment(
        id=row["assignment_id"],
        annotator_id=row["annotator_id"],
        index=row["index"],
        question=question_of(row),
        lease_until=row["lease_until"],
        state=row["state"],
        answer=row["answer"],
        sequence=row["sequence"],
    )
