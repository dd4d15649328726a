"""Assignments: questions leased to annotators, nobody the same one twice."""

import secrets
from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import Connection, Select, func, insert, select, update

from rlhf_core.errors import LabellingError
from rlhf_core.labelling.store import annotators, campaigns
from rlhf_core.labelling.store.counting import Count, counts_with_leases
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
    counts = counts_with_leases(connection, open_batches(connection, campaign.id), now)
    mine = of_annotator(connection, annotator.id)
    kept = [one for one in mine if _still_open(one, counts, campaign, now)][:count]
    until = now + campaign.settings.lease_seconds
    if kept:
        ids = [one.id for one in kept]
        change = update(assignments).where(assignments.c.id.in_(ids))
        connection.execute(change.values(lease_until=until))
    chosen = list(_new(connection, campaign, mine, counts, count - len(kept)))
    rows = [
        {
            "id": secrets.token_hex(16),
            "annotator_id": annotator.id,
            "question_id": question_id,
            "index": len(mine) + place,
            "leased": now,
            "lease_until": until,
            "state": "open",
            "counted": False,
        }
        for place, question_id in enumerate(chosen)
    ]
    if rows:
        connection.execute(insert(assignments), rows)
    wanted = [*(one.id for one in kept), *(row["id"] for row in rows)]
    items = tuple(one for one in of_annotator(connection, annotator.id) if one.id in set(wanted))
    return Offer(items, waiting=not items)


def remaining(connection: Connection, now: float, annotator: Annotator) -> int:
    """Questions, training left out, that wait for an annotator or may still be offered."""
    campaign = campaigns.find(connection, annotator.campaign_id)
    if not annotator.active:
        return 0
    counts = counts_with_leases(connection, open_batches(connection, campaign.id), now)
    mine = of_annotator(connection, annotator.id)
    kept = sum(
        _still_open(one, counts, campaign, now) for one in mine if one.question.stage != "training"
    )
    return kept + len(_work(mine, counts, campaign))


def open_batches(connection: Connection, campaign_id: int) -> list[int]:
    """Batches of which no round has taken the answers."""
    query = (
        select(batches.c.id)
        .outerjoin(collections, collections.c.batch_id == batches.c.id)
        .where(batches.c.campaign_id == campaign_id, collections.c.id.is_(None))
        .order_by(batches.c.round, batches.c.part)
    )
    return list(connection.scalars(query))


def _still_open(
    assignment: Assignment, counts: Mapping[int, Count], campaign: Campaign, now: float
) -> bool:
    if assignment.state != "open":
        return False
    if assignment.question.stage != "work":
        return True
    count = counts.get(assignment.question.id)
    # A question of a batch that was collected has no count.
    if count is None:
        return False
    needed = campaign.settings.answers_per_question
    return assignment.lease_until > now or count.takes(needed)


def _new(
    connection: Connection,
    campaign: Campaign,
    mine: list[Assignment],
    counts: Mapping[int, Count],
    count: int,
) -> Iterable[int]:
    """Questions that an annotator has not had, `count` at the most."""
    if count <= 0:
        return
    known = {one.question.id for one in mine}
    tests = {
        stage: [one for one in _with_answers(connection, campaign.id, stage) if one not in known]
        for stage in ("training", "gold")
    }
    practice = sum(one.question.stage == "training" for one in mine)
    gold = sum(one.question.stage == "gold" for one in mine)
    work = _work(mine, counts, campaign)
    done = sum(one.question.stage == "work" for one in mine)
    for _ in range(count):
        share = campaign.settings.gold_share * (done + gold + 1)
        if tests["training"] and practice < campaign.settings.training:
            practice += 1
            yield tests["training"].pop(0)
        elif tests["gold"] and work and gold + 1 <= share:
            gold += 1
            yield tests["gold"].pop(0)
        elif work:
            done += 1
            yield work.pop(0)
        else:
            return


def _with_answers(connection: Connection, campaign_id: int, stage: str) -> list[int]:
    query = select(questions.c.id).where(
        questions.c.campaign_id == campaign_id, questions.c.stage == stage
    )
    return list(connection.scalars(query.order_by(questions.c.id)))


def _work(mine: list[Assignment], counts: Mapping[int, Count], campaign: Campaign) -> list[int]:
    """Questions that may be offered, those that lack an answer before those with skips alone."""
    wanted = campaign.settings.answers_per_question
    known = {one.question.id for one in mine}
    free = [(key, c) for key, c in counts.items() if key not in known and c.takes(wanted)]
    return [key for key, _ in sorted(free, key=lambda entry: not entry[1].lacks(wanted))]


def of_annotator(connection: Connection, annotator_id: int) -> list[Assignment]:
    """All assignments of an annotator in the order in which they were given."""
    query = _query().where(assignments.c.annotator_id == annotator_id)
    rows = connection.execute(query.order_by(assignments.c.index)).mappings()
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


def count_of(connection: Connection, annotator_id: int) -> int:
    """How many assignments an annotator was given."""
    query = select(func.count()).select_from(assignments)
    return connection.scalar(query.where(assignments.c.annotator_id == annotator_id)) or 0


def question_of(row: Mapping[Any, Any]) -> Question:
    """A row of `questions` as a question."""
    return Question(**{**{n: row[n] for n in _QUESTION}, "clips": tuple(row["clips"])})


_QUESTION = (
    "id", "campaign_id", "batch_id", "identifier", "stage", "form", "settings", "row", "clips",
    "step", "known", "explanation",
)  # fmt: skip


def _query() -> Select[Any]:
    names = [questions.c[name] for name in _QUESTION if name != "id"]
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
