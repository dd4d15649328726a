"""Annotators, the invites by which they join, and their sessions."""

import hashlib
import secrets
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, delete, func, insert, select, update

from rlhf_core.errors import ConfigurationError, LabellingError
from rlhf_core.labelling.store import audit, campaigns
from rlhf_core.labelling.store.campaigns import is_key
from rlhf_core.labelling.store.counting import recount
from rlhf_core.labelling.store.records import Annotator, Invite
from rlhf_core.labelling.store.tables import annotators, assignments, invites, sessions

NAME_LENGTH = 60
SESSION_SECONDS = 90 * 24 * 3600.0
"""How long an annotator stays signed in."""


def token_hash(token: str) -> str:
    """SHA-256 of a token; only this is stored."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def check_name(name: str) -> str:
    """A name without blanks around it. Raises `ConfigurationError` where it cannot be shown."""
    stripped = name.strip()
    if not 0 < len(stripped) <= NAME_LENGTH or not stripped.isprintable():
        raise ConfigurationError(
            f"name: expected 1 to {NAME_LENGTH} printable characters, actual: {len(stripped)}"
        )
    return stripped


def invite(
    connection: Connection,
    now: float,
    campaign_id: int,
    name: str,
    uses: int | None,
    seconds: float | None,
    actor: str,
) -> tuple[Invite, str]:
    """Make an invite and return it with its token, which is not stored.

    Args:
        connection: of a transaction that writes.
        now: Unix time, in seconds.
        campaign_id: what it leads to.
        name: what the owner's page calls it.
        uses: how many may join; None: any number.
        seconds: how long it is valid; None: for ever.
        actor: who makes it.
    """
    if uses is not None and not 1 <= uses <= 100_000:
        raise ConfigurationError(f"uses: expected 1 to 100000, actual: {uses}")
    if seconds is not None and not 0 < seconds <= 3600 * 24 * 3660:
        raise ConfigurationError(
            f"seconds: expected more than 0 and at most 10 years, actual: {seconds}"
        )
    campaigns.find(connection, campaign_id, lock=True)
    token = secrets.token_urlsafe(24)
    values = {
        "campaign_id": campaign_id,
        "name": check_name(name),
        "token_hash": token_hash(token),
        "uses": uses,
        "used": 0,
        "expires": None if seconds is None else now + seconds,
        "revoked": False,
        "created": now,
    }
    key = connection.execute(insert(invites).values(**values)).inserted_primary_key
    assert key is not None, "the row was inserted"
    audit.record(connection, now, campaign_id, actor, "invite made", invite=key[0], uses=uses)
    return next(one for one in invites_of(connection, campaign_id) if one.id == key[0]), token


def invites_of(connection: Connection, campaign_id: int) -> list[Invite]:
    """The invites of a campaign, oldest first."""
    query = select(invites).where(invites.c.campaign_id == campaign_id).order_by(invites.c.id)
    return [_invite(row) for row in connection.execute(query).mappings()]


def revoke(
    connection: Connection, now: float, campaign_id: int, invite_id: int, actor: str
) -> None:
    """Let nobody else join by an invite."""
    campaigns.find(connection, campaign_id, lock=True)
    chosen = (invites.c.id == invite_id, invites.c.campaign_id == campaign_id)
    if not is_key(invite_id) or connection.scalar(select(invites.c.id).where(*chosen)) is None:
        raise LabellingError(f"campaign {campaign_id} has no invite {invite_id}", "unknown")
    connection.execute(update(invites).where(*chosen).values(revoked=True))
    audit.record(connection, now, campaign_id, actor, "invite revoked", invite=invite_id)


def join(
    connection: Connection, now: float, token: str, name: str, known: Annotator | None
) -> tuple[Annotator, str | None]:
    """Join by an invite; returns the annotator and the token of a new session.

    Args:
        connection: of a transaction that writes.
        now: Unix time, in seconds.
        token: of the invite.
        name: of the person.
        known: who has a session already; in the campaign of the invite nothing happens then, and no
            token comes.

    Raises:
        LabellingError: the invite does not exist, or is revoked, expired or used up.
    """
    name = check_name(name)
    found = connection.execute(
        select(invites.c.id, invites.c.campaign_id).where(invites.c.token_hash == token_hash(token))
    ).first()
    if found is None:
        raise LabellingError("this invitation does not exist", "unknown")
    campaigns.find(connection, found.campaign_id, lock=True)
    if known is not None and known.campaign_id == found.campaign_id:
        return known, None
    # Read again under the lock: somebody may have used it up meanwhile.
    row = connection.execute(select(invites).where(invites.c.id == found.id)).mappings().one()
    if row["revoked"]:
        raise LabellingError("this invitation was revoked; ask for another one", "gone")
    if row["expires"] is not None and row["expires"] <= now:
        raise LabellingError("this invitation has expired; ask for another one", "gone")
    if row["uses"] is not None and row["used"] >= row["uses"]:
        raise LabellingError("this invitation was used already; ask for another one", "gone")
    change = update(invites).where(invites.c.id == row["id"]).values(used=row["used"] + 1)
    connection.execute(change)
    made = add(connection, now, row["campaign_id"], name, row["id"])
    return made, begin_session(connection, now, made.id, SESSION_SECONDS)


def add(
    connection: Connection, now: float, campaign_id: int, name: str, invite_id: int | None = None
) -> Annotator:
    """Add an annotator, who gets the next number. The campaign is locked already."""
    query = select(func.count()).where(annotators.c.campaign_id == campaign_id)
    number = connection.scalar(query.select_from(annotators)) or 0
    name = check_name(name)
    values = {
        "campaign_id": campaign_id,
        "number": number,
        "name": name,
        "active": True,
        "invite_id": invite_id,
        "joined": now,
    }
    key = connection.execute(insert(annotators).values(**values)).inserted_primary_key
    assert key is not None, "the row was inserted"
    audit.record(
        connection, now, campaign_id, f"annotator {number}", "joined", name=name, invite=invite_id
    )
    return Annotator(key[0], campaign_id, number, name, True)


def find(connection: Connection, annotator_id: int) -> Annotator:
    """An annotator by the key of the row. Raises `LabellingError` where there is none."""
    query = select(annotators).where(annotators.c.id == annotator_id)
    row = connection.execute(query).mappings().first()
    if row is None:
        raise LabellingError("there is no such annotator", "unknown")
    return annotator_of(row)


def of_campaign(connection: Connection, campaign_id: int) -> list[Annotator]:
    """The annotators of a campaign by number."""
    query = select(annotators).where(annotators.c.campaign_id == campaign_id)
    rows = connection.execute(query.order_by(annotators.c.number)).mappings()
    return [annotator_of(row) for row in rows]


def set_active(
    connection: Connection, now: float, campaign_id: int, number: int, active: bool, actor: str
) -> Annotator:
    """Let the answers of an annotator count, or not; then their questions are offered again."""
    wanted = campaigns.find(connection, campaign_id, lock=True).settings.answers_per_question
    chosen = (annotators.c.campaign_id == campaign_id, annotators.c.number == number)
    there = is_key(number)
    row = (
        connection.execute(select(annotators).where(*chosen)).mappings().first() if there else None
    )
    if row is None:
        raise LabellingError(f"campaign {campaign_id} has no annotator {number}", "unknown")
    if row["active"] != active:
        connection.execute(update(annotators).where(*chosen).values(active=active))
        query = select(assignments.c.question_id).where(
            assignments.c.annotator_id == row["id"], assignments.c.answer_id.is_not(None)
        )
        for question_id in connection.scalars(query).all():
            recount(connection, question_id, wanted)
        action = "annotator active" if active else "annotator inactive"
        audit.record(connection, now, campaign_id, actor, action, annotator=number)
    return find(connection, row["id"])


def begin_session(
    connection: Connection, now: float, annotator_id: int | None, seconds: float
) -> str:
    """Begin a session and return its token; None in place of an annotator is the owner."""
    connection.execute(delete(sessions).where(sessions.c.expires <= now))
    token = secrets.token_urlsafe(32)
    values = {"token_hash": token_hash(token), "annotator_id": annotator_id}
    connection.execute(insert(sessions).values(**values, created=now, expires=now + seconds))
    return token


def end_session(connection: Connection, token: str) -> None:
    """End a session."""
    connection.execute(delete(sessions).where(sessions.c.token_hash == token_hash(token)))


def annotator_of_session(connection: Connection, now: float, token: str) -> Annotator | None:
    """Whose session it is; None where there is none."""
    query = (
        select(annotators)
        .join(sessions, sessions.c.annotator_id == annotators.c.id)
        .where(sessions.c.token_hash == token_hash(token), sessions.c.expires > now)
    )
    row = connection.execute(query).mappings().first()
    return None if row is None else annotator_of(row)


def is_owner_session(connection: Connection, now: float, token: str) -> bool:
    """Whether it is a session of the owner."""
    query = select(sessions.c.token_hash).where(
        sessions.c.token_hash == token_hash(token),
        sessions.c.annotator_id.is_(None),
        sessions.c.expires > now,
    )
    return connection.scalar(query) is not None


def annotator_of(row: Mapping[Any, Any]) -> Annotator:
    """A row as an annotator."""
    return Annotator(**{k: row[k] for k in ("id", "campaign_id", "number", "name", "active")})


def _invite(row: Mapping[Any, Any]) -> Invite:
    names = ("id", "campaign_id", "name", "uses", "used", "expires", "revoked")
    return Invite(**{name: row[name] for name in names})
