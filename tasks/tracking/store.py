"""Where runs are tracked: MLflow's database or server, embedded in the home or the user's own.

Everything goes through `MlflowClient` with an explicit run id: MLflow's active run belongs to a
thread, and `mlflow.start_run` marks whatever it opened as finished when it leaves.
"""

import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rlhf_core.errors import ServiceError
from tasks.home import Home

# Migrations are not what a person who starts a run wants to read about. MLflow looks at this when
# it is imported, which happens inside the functions below.
os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
os.environ.setdefault("DO_NOT_TRACK", "true")
logging.getLogger("alembic").setLevel(logging.WARNING)

if TYPE_CHECKING:
    from mlflow import MlflowClient

ANSWER_SECONDS = 5.0
SQLITE = "sqlite:///"


@dataclass(frozen=True)
class Tracker:
    """Addresses of the tracking store. Small, so that a run can carry it to any process."""

    uri: str
    """Of MLflow's database or server."""
    artifacts: str | None = None
    """Where new experiments store their files; None leaves it to the server."""

    def client(self) -> "MlflowClient":
        """A client of the tracking store.

        Raises:
            ServiceError: an embedded database is not on this machine; MLflow would make an empty
                one.
        """
        from mlflow import MlflowClient

        path = self._file
        if path is not None and not path.exists():
            raise ServiceError(
                f"tracking store {path} is not on this machine; set MLFLOW_TRACKING_URI to a "
                "server that every worker reaches"
            )
        return MlflowClient(self.uri)

    @property
    def _file(self) -> Path | None:
        """The file of an SQLite database."""
        if not self.uri.startswith(SQLITE):
            return None
        return Path(self.uri.removeprefix(SQLITE).partition("?")[0])


def tracker_of(home: Home) -> Tracker:
    """Where the runs of a home are tracked: `MLFLOW_TRACKING_URI`, else the embedded store."""
    own = os.environ.get("MLFLOW_TRACKING_URI")
    if own:
        return Tracker(own)
    folder = home.folder("mlflow")
    # The timeout is SQLite's patience with another process's lock, in seconds.
    uri = f"{SQLITE}{folder / 'mlflow.db'}?timeout=60"
    return Tracker(uri, (folder / "artifacts").as_uri())


def prepare(home: Home) -> Tracker:
    """Make the tracking store ready: once, under a lock, before anything runs in parallel.

    Raises:
        ServiceError: the tracking server or database does not answer.
        StoreError: the home cannot be written.
    """
    tracker = tracker_of(home)
    uri = tracker.uri
    if uri.startswith(("http://", "https://")):
        _check_server(uri)
        return tracker
    with home.locked("mlflow"):
        from mlflow import MlflowClient
        from mlflow.exceptions import MlflowException
        from mlflow.utils.uri import get_uri_scheme
        from sqlalchemy import create_engine
        from sqlalchemy.exc import SQLAlchemyError

        try:
            # MLflow itself would try for minutes to reach a database that is not there.
            if "sql" in get_uri_scheme(uri):
                with create_engine(uri).connect() as connection:
                    if uri.startswith("sqlite"):
                        # Readers and a writer do not wait for each other; stored in the file.
                        connection.exec_driver_sql("PRAGMA journal_mode=WAL")
            MlflowClient(uri).search_experiments(max_results=1)
        except (MlflowException, SQLAlchemyError, ImportError) as error:
            raise ServiceError(f"tracking store {uri} cannot be used: {error}") from error
    return tracker


def _check_server(uri: str) -> None:
    """One short request: MLflow itself would try for minutes."""
    import httpx

    try:
        answer = httpx.get(f"{uri.rstrip('/')}/health", timeout=ANSWER_SECONDS)
        answer.raise_for_status()
    except httpx.HTTPError as error:
        raise ServiceError(
            f"tracking server {uri} does not answer ({error}); start it, or unset "
            "MLFLOW_TRACKING_URI to use the embedded store"
        ) from error
