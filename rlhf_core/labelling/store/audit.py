"""The audit: who did what when. Rows are only ever added."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, insert, select

from rlhf_core.labelling.store.tables import audit

OWNER = "owner"
"""The actor of what the owner of the campaigns does."""


def record(
    connection: Connection,
    now: float,
    campaign_id: int | None,
    actor: str,
    action: str,
    **details: Any,
) -> None:
    """Add a row.

    Args:
        connection: of a transaction that writes.
        now: Unix time, in seconds.
        campaign_id: what it is about; None: the store as a whole.
        actor: `owner`, `run`, or `annotator NUMBER`.
        action: what was done.
        details: JSON; no token and no secret.
    """
    row = {"campaign_id": campaign_id, "at": now, "actor": actor, "action": action}
    connection.execute(insert(audit).values(**row, details=details))


def entries(connection: Connection, campaign_id: int) -> list[Mapping[str, Any]]:
    """The audit of a campaign, oldest first."""
    query = select(audit).where(audit.c.campaign_id == campaign_id).order_by(audit.c.id)
    return [dict(row) for row in connection.execute(query).mappings()]
