"""Which answers of a question count.

Of n answers wanted, the first n that were given count. A skip is an answer; while a question has
only skips, up to `SPARE` more annotators may be asked.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from sqlalchemy import Connection, false, func, or_, select, update

from rlhf_core.labelling.store.tables import annotators, assignments, collected, questions

SPARE = 2
"""Annotators who are asked in addition where all have skipped."""


class Given(NamedTuple):
    """An answered assignment."""

    id: str
    skipped: bool


@dataclass(frozen=True)
class Count:
    """What a question has."""

    given: int = 0
    """Counted answers, skips included."""
    substantive: int = 0
    """Those that are no skips."""
    leases: int = 0
    """Other annotators who have the question now."""

    def lacks(self, wanted: int) -> bool:
        """Whether fewer than wanted were asked."""
        return self.given + self.leases < wanted

    def takes(self, wanted: int) -> bool:
        """Whether one more annotator may be asked."""
        if self.lacks(wanted):
            return True
        only_skips = self.substantive == 0 and self.given >= wanted
        return only_skips and self.given + self.leases < wanted + SPARE


def counted(given: Sequence[Given], wanted: int) -> set[str]:
    """Ids of the answers that count.

    Args:
        given: in the order in which they were given.
        wanted: answers that the campaign asks for.
    """
    chosen: set[str] = set()
    substantive = 0
    for answer in given:
        if not Count(len(chosen), substantive).takes(wanted):
            break
        chosen.add(answer.id)
        substantive += not answer.skipped
    return chosen


def recount(connection: Connection, question_id: int, wanted: int) -> None:
    """Mark the answers of a question that count; those that a round has taken always do."""
    taken = collected.c.answer_id.is_not(None)
    query = (
        select(assignments.c.id, assignments.c.state, assignments.c.counted)
        .join(annotators, annotators.c.id == assignments.c.annotator_id)
        .outerjoin(collected, collected.c.assignment_id == assignments.c.id)
        .where(
            assignments.c.question_id == question_id,
            assignments.c.answer_id.is_not(None),
            or_(annotators.c.active, taken),
        )
        .order_by(taken.desc(), assignments.c.first_answer)
    )
    rows = connection.execute(query).all()
    chosen = counted([Given(row.id, row.state == "skipped") for row in rows], wanted)
    for row in rows:
        if row.counted != (row.id in chosen):
            change = update(assignments).where(assignments.c.id == row.id)
            connection.execute(change.values(counted=row.id in chosen))


def counts_by_question(connection: Connection, batch_id: int) -> dict[int, Count]:
    """Counted answers of each question of a batch, training and gold left out."""
    return _counts(connection, questions.c.batch_id == batch_id, now=None)


def counts_with_leases(
    connection: Connection, chosen: Sequence[int], now: float
) -> dict[int, Count]:
    """Counted answers and running leases of these batches' questions."""
    return _counts(connection, questions.c.batch_id.in_(chosen), now)


def _counts(connection: Connection, condition: object, now: float | None) -> dict[int, Count]:
    valid = assignments.c.counted & annotators.c.active
    leased = false() if now is None else (
        (assignments.c.state == "open") & (assignments.c.lease_until > now) & annotators.c.active
    )  # fmt: skip
    query = (
        select(
            questions.c.id,
            func.count().filter(valid),
            func.count().filter(valid & (assignments.c.state == "answered")),
            func.count().filter(leased),
        )
        .select_from(questions)
        .outerjoin(assignments, assignments.c.question_id == questions.c.id)
        .outerjoin(annotators, annotators.c.id == assignments.c.annotator_id)
        .where(condition, questions.c.stage == "work")  # type: ignore[arg-type]
        .group_by(questions.c.id)
        .order_by(questions.c.id)
    )
    return {row[0]: Count(*row[1:]) for row in connection.execute(query)}
