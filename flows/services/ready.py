"""The tracking store of a flow: made ready once in a process, whoever started that."""

from tasks.home import Home
from tasks.tracking.store import prepare, tracker_of

_ready: set[str] = set()
"""Addresses of the stores that this process has made ready."""


def ready(home: Home) -> None:
    """Make the tracking store of a home ready, unless this process has done so.

    A command does it before its flow starts; a flow that a deployment starts does it itself.

    Raises:
        ConfigurationError: `MLFLOW_TRACKING_URI` holds no address that MLflow has a store for.
        ServiceError: the tracking server or database does not answer.
        StoreError: the home cannot be written.
    """
    uri = tracker_of(home).uri
    if uri not in _ready:
        prepare(home)
        _ready.add(uri)
