"""Batches: the questions of one request, published once, and how far they are."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, insert, select, update

from rlhf_core.errors import ConfigurationError, LabellingError
from rlhf_core.labelling.forms import check_answer, check_askable
from rlhf_core.labelling.store import audit, campaigns
from rlhf_core.labelling.store.counting import counts_by_question
from rlhf_core.labelling.store.records import Batch, BatchProgress, Campaign, Gold, Question
from rlhf_core.labelling.store.tables import batches, collections, questions
from rlhf_core.questions import Queries, Request

QUESTION = tuple(column.name for column in questions.c if column.name != "settled")
"""Columns of a question's record."""
CHUNK = 500
"""Rows of one insertion."""


def publish(
    connection: Connection,
    now: float,
    campaign: Campaign,
    round: int,
    part: int,
    rows: Sequence[Mapping[str, Any]],
    artifacts: str,
    ref: str,
    deadline: float | None,
) -> Batch:
    """The batch of that round and part, which is made unless it is there.

    Args:
        connection: of a transaction that writes.
        now: Unix time, in seconds.
        campaign: what it belongs to.
        round: from 0.
        part: 0, or 1 where more was asked in the same round.
        rows: the questions, as `rows_of` makes them.
        artifacts: root of the store with the request.
        ref: its reference of the request.
        deadline: Unix time after which the run no longer waits; None: it waits for ever.

    Raises:
        ConfigurationError: the batch is there with other questions.
    """
    campaigns.find(connection, campaign.id, lock=True)
    if deadline is not None and not math.isfinite(deadline):
        raise ConfigurationError(f"deadline: expected a finite number, actual: {deadline}")
    chosen = (
        batches.c.campaign_id == campaign.id,
        batches.c.round == round,
        batches.c.part == part,
    )
    known = connection.execute(select(batches).where(*chosen)).mappings().first()
    if known is not None:
        _check_same(connection, known["id"], campaign, round, part, rows)
        if (known["artifacts"], known["ref"]) != (artifacts, ref):
            # The same content at another place, after a store was moved or made again.
            moved = update(batches).where(*chosen).values(artifacts=artifacts, ref=ref)
            connection.execute(moved)
            known = connection.execute(select(batches).where(*chosen)).mappings().one()
        return Batch(**known)
    values = {
        "campaign_id": campaign.id,
        "round": round,
        "part": part,
        "artifacts": artifacts,
        "ref": ref,
        "created": now,
        "deadline": deadline,
    }
    key = connection.execute(insert(batches).values(**values)).inserted_primary_key
    assert key is not None, "the row was inserted"
    complete = [{**row, "campaign_id": campaign.id, "batch_id": key[0]} for row in rows]
    for start in range(0, len(complete), CHUNK):
        connection.execute(insert(questions), complete[start : start + CHUNK])
    audit.record(
        connection, now, campaign.id, "run", "batch published",
        round=round, part=part, questions=len(rows),
    )  # fmt: skip
    return find(connection, key[0])


def rows_of(request: Request, gold: Sequence[Gold], training: int) -> list[dict[str, Any]]:
    """The questions of a request, and those whose answers are known, as rows.

    Args:
        request: what is asked.
        gold: questions whose answers are known.
        training: how many of them are done first, with feedback; the others are checks.

    Raises:
        ConfigurationError: a form that people cannot answer, or a known answer that is none.
    """
    rows = []
    for form, queries in sorted(request.queries.items()):
        if not len(queries):
            continue
        clips = int(queries.items.shape[1])
        check_askable(form, queries.form, clips)
        for row, identifier in enumerate(request.ids(form)):
            items = [int(item) for item in queries.items[row]]
            step = None if queries.step is None else int(queries.step[row])
            rows.append(_row(identifier, "work", form, queries.form, row, items, step, None, ""))
    for place, question in enumerate(gold):
        where = f"gold question {place}"
        check_askable(question.form, question.settings, len(question.clips))
        known = {k: v for k, v in question.answer.items() if k != "tolerance"}
        check_answer(question.form, question.settings, len(question.clips), known, where)
        stage = "training" if place < training else "gold"
        identifier = f"{place}-{_identifier(request, question)}"
        rows.append(
            _row(
                identifier,
                stage,
                question.form,
                question.settings,
                place,
                list(question.clips),
                question.step,
                dict(question.answer),
                question.explanation,
            )
        )
    return rows


def _row(
    identifier: str,
    stage: str,
    form: str,
    settings: str,
    row: int,
    clips: list[int],
    step: int | None,
    known: Mapping[str, Any] | None,
    explanation: str,
) -> dict[str, Any]:
    return {
        "identifier": identifier,
        "stage": stage,
        "form": form,
        "settings": settings,
        "row": row,
        "clips": clips,
        "step": step,
        "known": known,
        "explanation": explanation,
    }


def _identifier(request: Request, gold: Gold) -> str:
    import numpy as np

    step = None if gold.step is None else np.array([gold.step])
    asked = Queries(np.array([gold.clips], dtype=np.int64), step, form=gold.settings)
    alone = Request(request.segments, request.reference, {gold.form: asked})
    return alone.ids(gold.form)[0]


def _check_same(
    connection: Connection,
    batch_id: int,
    campaign: Campaign,
    round: int,
    part: int,
    rows: Sequence[Mapping[str, Any]],
) -> None:
    query = select(questions.c.identifier, questions.c.stage)
    there = {
        tuple(row) for row in connection.execute(query.where(questions.c.batch_id == batch_id))
    }
    new = {(row["identifier"], row["stage"]) for row in rows}
    if there != new:
        raise ConfigurationError(
            f"campaign {campaign.key}, round {round}, part {part}: expected the {len(there)} "
            f"questions that were published before, actual: {len(new)}, of which "
            f"{len(new & there)} are the same"
        )


def find(connection: Connection, batch_id: int) -> Batch:
    """A batch by its number. Raises `LabellingError` where there is none."""
    query = select(batches).where(batches.c.id == batch_id)
    there = campaigns.is_key(batch_id)
    row = connection.execute(query).mappings().first() if there else None
    if row is None:
        raise LabellingError(f"there is no batch {batch_id}", "unknown")
    return Batch(**row)


def of_campaign(connection: Connection, campaign_id: int) -> list[Batch]:
    """The batches of a campaign by round and part."""
    query = select(batches).where(batches.c.campaign_id == campaign_id)
    rows = connection.execute(query.order_by(batches.c.round, batches.c.part)).mappings()
    return [Batch(**row) for row in rows]


def questions_of(connection: Connection, campaign_id: int) -> list[Question]:
    """The questions of a campaign in the order in which they were published."""
    query = select(questions).where(questions.c.campaign_id == campaign_id)
    rows = connection.execute(query.order_by(questions.c.id)).mappings()
    return [question_of(row) for row in rows]


def forms_of(connection: Connection, campaign_id: int) -> tuple[str, ...]:
    """The kinds of form of a campaign's questions, by name."""
    query = select(questions.c.form).where(questions.c.campaign_id == campaign_id).distinct()
    return tuple(sorted(connection.scalars(query)))


def question_of(row: Mapping[Any, Any]) -> Question:
    """A row of `questions` as a question."""
    return Question(**{**{n: row[n] for n in QUESTION}, "clips": tuple(row["clips"])})


def is_collected(connection: Connection, batch_id: int) -> bool:
    """Whether a round has taken the answers of the batch."""
    query = select(collections.c.id).where(collections.c.batch_id == batch_id)
    return connection.scalar(query) is not None


def progress(connection: Connection, batch_id: int) -> BatchProgress:
    """How far a batch is."""
    batch = find(connection, batch_id)
    campaign = campaigns.find(connection, batch.campaign_id)
    counts = counts_by_question(connection, batch_id)
    wanted = campaign.settings.answers_per_question
    return BatchProgress(
        questions=len(counts),
        complete=sum(count.given >= wanted for count in counts.values()),
        answers=sum(count.given for count in counts.values()),
        substantive=sum(count.substantive for count in counts.values()),
        deadline=batch.deadline,
        closed=campaign.status == "closed",
        collected=is_collected(connection, batch_id),
    )
