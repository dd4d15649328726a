"""Campaigns: opening, finding and closing them."""

import math
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, insert, select, update
from sqlalchemy.exc import IntegrityError

from rlhf_core.errors import ConfigurationError, LabellingError
from rlhf_core.labelling.store import audit
from rlhf_core.labelling.store.records import Campaign
from rlhf_core.labelling.store.settings import CampaignSettings
from rlhf_core.labelling.store.tables import batches, campaigns, collections

STATUSES = ("open", "paused", "closed")


def open_campaign(
    connection: Connection,
    now: float,
    key: str,
    title: str,
    settings: CampaignSettings,
    experiment: str,
) -> Campaign:
    """The campaign of that key, which is made unless it is there.

    Raises:
        ConfigurationError: it is there and asks in another way.
    """
    if not 0 < len(key) <= 200 or "\0" in key + title + experiment:
        raise ConfigurationError(f"key: expected 1 to 200 characters, actual: {len(key)}")
    row = connection.execute(select(campaigns).where(campaigns.c.key == key)).mappings().first()
    if row is not None:
        known = campaign_of(row)
        # What people read may differ: it fits the forms that are asked now.
        if known.settings != settings.model_copy(
            update={"instructions": known.settings.instructions}
        ):
            raise ConfigurationError(
                f"campaign {key}: expected the settings it was opened with, "
                f"{known.settings.model_dump_json()}, actual: {settings.model_dump_json()}"
            )
        return known
    values = {
        "key": key,
        "title": title,
        "settings": settings.model_dump(mode="json"),
        "experiment": experiment,
        "status": "open",
        "created": now,
    }
    try:
        with connection.begin_nested():
            number = connection.execute(insert(campaigns).values(**values)).inserted_primary_key
    except IntegrityError:
        # Another process has made it between the two statements; PostgreSQL shows it now.
        return open_campaign(connection, now, key, title, settings, experiment)
    assert number is not None, "the row was inserted"
    audit.record(connection, now, number[0], "run", "campaign opened", key=key, title=title)
    return find(connection, number[0])


def is_key(number: int) -> bool:
    """Whether it can be the key of a row; a larger number overflows a database."""
    return 0 <= number < 2**31


def find(connection: Connection, campaign_id: int, lock: bool = False) -> Campaign:
    """A campaign by its number.

    Args:
        connection: of a transaction.
        campaign_id: its number.
        lock: let others who lock it wait until the transaction ends (SQLite locks all anyway).

    Raises:
        LabellingError: there is none.
    """
    if not is_key(campaign_id):
        raise LabellingError(f"there is no campaign {campaign_id}", "unknown")
    query = select(campaigns).where(campaigns.c.id == campaign_id)
    if lock:
        query = query.with_for_update()
    row = connection.execute(query).mappings().first()
    if row is None:
        raise LabellingError(f"there is no campaign {campaign_id}", "unknown")
    return campaign_of(row)


def find_by_key(connection: Connection, key: str) -> Campaign | None:
    """The campaign of a run; None where there is none."""
    row = connection.execute(select(campaigns).where(campaigns.c.key == key)).mappings().first()
    return None if row is None else campaign_of(row)


def everything(connection: Connection) -> list[Campaign]:
    """All campaigns, newest first."""
    rows = connection.execute(select(campaigns).order_by(campaigns.c.id.desc())).mappings()
    return [campaign_of(row) for row in rows]


def set_status(
    connection: Connection, now: float, campaign_id: int, status: str, actor: str
) -> Campaign:
    """Pause, open or close a campaign. Answers to questions that are out are taken even so."""
    assert status in STATUSES, status
    before = find(connection, campaign_id, lock=True)
    if before.status != status:
        change = update(campaigns).where(campaigns.c.id == campaign_id).values(status=status)
        connection.execute(change)
        audit.record(connection, now, campaign_id, actor, f"campaign {status}")
    return find(connection, campaign_id)


def extend(connection: Connection, now: float, campaign_id: int, hours: float, actor: str) -> None:
    """Move the deadlines of the batches that were not collected; a past one counts from now on."""
    if not (math.isfinite(hours) and 0 < hours <= 10_000):
        raise ConfigurationError(f"hours: expected more than 0 and at most 10000, actual: {hours}")
    find(connection, campaign_id, lock=True)
    taken = select(collections.c.batch_id)
    query = select(batches.c.id, batches.c.deadline).where(
        batches.c.campaign_id == campaign_id,
        batches.c.deadline.is_not(None),
        batches.c.id.not_in(taken),
    )
    for batch_id, deadline in connection.execute(query).all():
        later = max(deadline, now) + 3600 * hours
        connection.execute(update(batches).where(batches.c.id == batch_id).values(deadline=later))
    audit.record(connection, now, campaign_id, actor, "deadline extended", hours=hours)


def campaign_of(row: Mapping[Any, Any]) -> Campaign:
    """A row as a campaign."""
    columns = {**row, "settings": CampaignSettings.model_validate(row["settings"])}
    return Campaign(**columns)
