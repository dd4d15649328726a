"""Which answers of a question count.

Of n answers wanted, the first n that were given count. A skip is an answer; while a question has
only skips, up to `SPARE` more annotators may be asked.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Select, and_, false, func, or_, select, update

from rlhf_core.labelling.forms import SPARE
from rlhf_core.labelling.store.tables import annotators, assignments, collected, questions


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
    substantive = sum(row.id in chosen and row.state == "answered" for row in rows)
    settled = not Count(len(chosen), substantive).takes(wanted)
    change = update(questions).where(questions.c.id == question_id, questions.c.settled != settled)
    connection.execute(change.values(settled=settled))


def counts_by_question(connection: Connection, batch_id: int) -> dict[int, Count]:
    """Counted answers of each question of a batch, training and gold left out."""
    return _counts(connection, _Totals(None).by_question(questions.c.batch_id == batch_id))


def counts_of(connection: Connection, chosen: Sequence[int], now: float) -> dict[int, Count]:
    """Counted answers and running leases of these questions, training and gold left out."""
    return _counts(connection, _Totals(now).by_question(questions.c.id.in_(chosen)))


def free_questions(
    connection: Connection,
    chosen: Sequence[int],
    annotator_id: int,
    wanted: int,
    now: float,
    most: int,
) -> list[int]:
    """Questions that may be offered, those that lack an answer before those with skips alone.

    Args:
        connection: of a transaction.
        chosen: batches.
        annotator_id: who has had none of them.
        wanted: answers that the campaign asks for.
        now: Unix time, in seconds.
        most: how many at the most.
    """
    totals = _Totals(now)
    query = totals.by_question(*_free(chosen, annotator_id))
    found: list[int] = []
    for condition in (totals.lack(wanted), totals.only_skips(wanted)):
        if len(found) < most:
            rows = connection.execute(query.having(condition).limit(most - len(found)))
            found += [row[0] for row in rows]
    return found


def count_free(
    connection: Connection, chosen: Sequence[int], annotator_id: int, wanted: int, now: float
) -> int:
    """How many questions may be offered to an annotator."""
    totals = _Totals(now)
    query = totals.by_question(*_free(chosen, annotator_id))
    query = query.having(or_(totals.lack(wanted), totals.only_skips(wanted)))
    return connection.scalar(select(func.count()).select_from(query.subquery())) or 0


def _free(chosen: Sequence[int], annotator_id: int) -> tuple[ColumnElement[bool], ...]:
    had = select(assignments.c.question_id).where(assignments.c.annotator_id == annotator_id)
    return (
        questions.c.batch_id.in_(chosen),
        questions.c.settled.is_(False),
        questions.c.id.not_in(had),
    )


class _Totals:
    """Columns that count the assignments of a question, as `Count` has them."""

    def __init__(self, now: float | None) -> None:
        valid = assignments.c.counted & annotators.c.active
        running = false() if now is None else (
            (assignments.c.state == "open")
            & (assignments.c.lease_until > now)
            & annotators.c.active
        )  # fmt: skip
        self.given = func.count().filter(valid)
        self.substantive = func.count().filter(valid & (assignments.c.state == "answered"))
        self.leases = func.count().filter(running)

    def by_question(self, *conditions: ColumnElement[bool]) -> Select[Any]:
        return (
            select(questions.c.id, self.given, self.substantive, self.leases)
            .select_from(questions)
            .outerjoin(assignments, assignments.c.question_id == questions.c.id)
            .outerjoin(annotators, annotators.c.id == assignments.c.annotator_id)
            .where(questions.c.stage == "work", *conditions)
            .group_by(questions.c.id)
            .order_by(questions.c.id)
        )

    def lack(self, wanted: int) -> ColumnElement[bool]:
        """As `Count.lacks`."""
        return self.given + self.leases < wanted

    def only_skips(self, wanted: int) -> ColumnElement[bool]:
        """As `Count.takes` where nothing lacks."""
        return and_(
            self.given + self.leases >= wanted,
            self.substantive == 0,
            self.given >= wanted,
            self.given + self.leases < wanted + SPARE,
        )


def _counts(connection: Connection, query: Select[Any]) -> dict[int, Count]:
    return {row[0]: Count(*row[1:]) for row in connection.execute(query)}
