"""Answers from a file: stored as those of annotators who did not come by an invite."""

import secrets
from collections.abc import Sequence

from sqlalchemy import Connection, func, insert, select

from rlhf_core.errors import ConfigurationError
from rlhf_core.labelling.store import annotators, answering, audit, campaigns
from rlhf_core.labelling.store.records import Annotator, ImportedAnswer, Submission
from rlhf_core.labelling.store.tables import annotators as rows
from rlhf_core.labelling.store.tables import answers, assignments


def add_answers(
    connection: Connection,
    now: float,
    campaign_id: int,
    imported: Sequence[ImportedAnswer],
    actor: str,
) -> int:
    """Store answers; an exception ends the transaction, so that none of them stays.

    Args:
        connection: of a transaction that writes.
        now: Unix time, in seconds.
        campaign_id: whose questions they answer.
        imported: the answers.
        actor: who imports them.

    Returns:
        Answers that were new.

    Raises:
        ConfigurationError: an annotator has answered the question otherwise.
    """
    campaigns.find(connection, campaign_id, lock=True)
    people: dict[str, Annotator] = {}
    added = 0
    for one in imported:
        if one.name not in people:
            people[one.name] = _annotator(connection, now, campaign_id, one.name)
        annotator = people[one.name]
        known = select(answers.c.id).where(
            answers.c.annotator_id == annotator.id, answers.c.key == one.key
        )
        if connection.scalar(known) is not None:
            continue
        name = _assignment(connection, now, annotator, one)
        sent = Submission(one.key, name, 0, one.answer, one.seconds, page_version="import")
        try:
            answering.submit(connection, now, annotator, sent)
        except ConfigurationError as error:
            raise ConfigurationError(f"{one.where}: {error}") from None
        added += 1
    audit.record(
        connection, now, campaign_id, actor, "answers imported", answers=len(imported), new=added
    )
    return added


def _annotator(connection: Connection, now: float, campaign_id: int, name: str) -> Annotator:
    query = select(rows).where(
        rows.c.campaign_id == campaign_id, rows.c.name == name, rows.c.invite_id.is_(None)
    )
    row = connection.execute(query).mappings().first()
    return annotators.add(connection, now, campaign_id, name) if row is None else (
        annotators.annotator_of(row)
    )  # fmt: skip


def _assignment(
    connection: Connection, now: float, annotator: Annotator, one: ImportedAnswer
) -> str:
    mine = assignments.c.annotator_id == annotator.id
    query = select(assignments.c.id).where(mine, assignments.c.question_id == one.question_id)
    if connection.scalar(query) is not None:
        raise ConfigurationError(
            f"{one.where}: expected one answer of '{annotator.name}' to each question, actual: "
            "another one is there"
        )
    name = secrets.token_hex(16)
    count = connection.scalar(select(func.count()).select_from(assignments).where(mine))
    values = {
        "id": name,
        "annotator_id": annotator.id,
        "question_id": one.question_id,
        "index": count,
        "leased": now,
        "lease_until": now,
        "state": "open",
        "counted": False,
    }
    connection.execute(insert(assignments).values(**values))
    return name
