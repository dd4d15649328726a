"""What an environment logs of its users: slates shown, clicks, and how long they stayed."""

from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float, Int

SATISFIED_SECONDS = 30.0
"""Dwell from which a click counts as satisfied (Fox et al. 2005, doi:10.1145/1059981.1059982)."""


class LogColumns(NamedTuple):
    """Where an environment's log stands: the action is the slate, the next observation the rest."""

    context: Int[np.ndarray, " features"]
    """Numbers of the observation that describe the user before the slate."""
    present: int
    """The number of the observation that is 1 while the user is there to see a slate."""
    clicks: Int[np.ndarray, " K"]
    """Numbers of the next observation that are 1 where position k was clicked."""
    minutes: Int[np.ndarray, " K"]
    """Numbers of the next observation that tell the dwell after a click at position k."""


@runtime_checkable
class LogsClicks(Protocol):
    """An environment whose actions are slates and whose observations hold the clicks on them."""

    def log_columns(self) -> LogColumns:
        """Where the log stands in actions and observations."""
        ...

    def item_count(self) -> int:
        """N, items from which a slate is taken."""
        ...


class Impressions(NamedTuple):
    """B slates that were shown, and what users did with them."""

    context: Float[np.ndarray, "B features"]
    present: Bool[np.ndarray, " B"]
    """False where nobody was there to see the slate."""
    items: Int[np.ndarray, "B K"]
    """Item at each position, from 0 to N - 1."""
    clicked: Bool[np.ndarray, "B K"]
    dwell: Float[np.ndarray, "B K"]
    """Seconds after a click; 0 without one."""

    def positive(self, satisfied_seconds: float) -> Bool[np.ndarray, "B K"]:
        """Clicks after which users stayed so many seconds at the least."""
        # The log keeps minutes in single precision.
        return self.clicked & (self.dwell >= satisfied_seconds - 1e-3)


def read(
    columns: LogColumns,
    observations: Float[np.ndarray, "B obs"],
    actions: Int[np.ndarray, "B K"],
    next_observations: Float[np.ndarray, "B obs"],
) -> Impressions:
    """Read impressions from the steps in which they were made."""
    return Impressions(
        context=observations[:, columns.context].astype(np.float64),
        present=observations[:, columns.present] > 0.5,
        items=actions.astype(np.int64),
        clicked=next_observations[:, columns.clicks] > 0.5,
        dwell=60.0 * next_observations[:, columns.minutes].astype(np.float64),
    )
