"""Where runs are tracked: MLflow's database or server, embedded in the home or the user's own.

Everything goes through `MlflowClient` with an explicit run id: MLflow's active run belongs to a
thread, and `mlflow.start_run` marks whatever it opened as finished when it leaves.
"""

import logging
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rlhf_core.errors import ServiceError
from tasks import addresses, deadline
from tasks.home import Home
from tasks.tracking import relocation

# Migrations are not what a person who starts a run wants to read about, and standard output belongs
# to the command's own result. MLflow looks at this when it is imported, which happens inside the
# functions below.
os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
os.environ.setdefault("DO_NOT_TRACK", "true")
logging.getLogger("alembic").setLevel(logging.WARNING)

if TYPE_CHECKING:
    from mlflow import MlflowClient

VARIABLE = "MLFLOW_TRACKING_URI"
ANSWER_SECONDS = 6.0
"""Longest wait for a server's whole answer, and for a database's."""
SQLITE_PATIENCE = 60
"""Longest wait for another process's lock on the embedded database (seconds)."""
SCHEMES = (
    "", "file", "http", "https", "sqlite", "postgresql", "mysql", "mssql", "databricks",
    "databricks-uc", "uc",
)  # fmt: skip
"""Of MLflow. The empty one is a path."""
EXAMPLE = "http://127.0.0.1:5000 or postgresql://user:password@host/database"


@dataclass(frozen=True)
class Tracker:
    """Addresses of the tracking store. Small, so that a run can carry it to any process."""

    uri: str
    """Of MLflow's database or server."""
    artifacts: str | None = None
    """Where new experiments store their files; None leaves it to the server."""

    def __repr__(self) -> str:
        return f"Tracker({addresses.masked(self.uri)!r})"

    @property
    def remote(self) -> bool:
        """Whether it is a server."""
        return addresses.scheme_of(self.uri) in ("http", "https")

    @property
    def local(self) -> bool:
        """Whether it is files of this machine, which others do not reach."""
        return addresses.scheme_of(self.uri).partition("+")[0] in ("", "file", "sqlite")

    def client(self) -> "MlflowClient":
        """A client of the tracking store.

        Raises:
            ServiceError: an embedded database is not on this machine; MLflow would make an empty
                one.
        """
        from mlflow import MlflowClient

        path = addresses.sqlite_file(self.uri)
        if path is not None and not path.exists():
            raise ServiceError(
                f"tracking store {path} is not on this machine; set MLFLOW_TRACKING_URI to a "
                "server that every worker reaches"
            )
        return MlflowClient(self.uri)


def tracker_of(home: Home) -> Tracker:
    """Where the runs of a home are tracked: `MLFLOW_TRACKING_URI`, else the embedded store.

    Raises:
        ConfigurationError: the variable holds no address that MLflow has a store for.
    """
    own = os.environ.get(VARIABLE)
    if own:
        if addresses.scheme_of(own) in ("http", "https"):
            return Tracker(addresses.check_url(VARIABLE, own, EXAMPLE))
        addresses.check_scheme(VARIABLE, own, SCHEMES, EXAMPLE)
        return Tracker(own)
    folder = home.folder("mlflow")
    uri = addresses.sqlite_url(folder / "mlflow.db", timeout=SQLITE_PATIENCE)
    return Tracker(uri, (folder / "artifacts").as_uri())


def prepare(home: Home) -> Tracker:
    """Make the tracking store ready: once, under a lock, before anything runs in parallel.

    Raises:
        ConfigurationError: `MLFLOW_TRACKING_URI` holds no address that MLflow has a store for.
        ServiceError: the tracking server or database does not answer.
        StoreError: the home cannot be written.
    """
    tracker = tracker_of(home)
    if tracker.remote:
        _check_server(tracker.uri)
        return tracker
    with home.locked("mlflow"):
        from mlflow.exceptions import MlflowException
        from sqlalchemy.exc import SQLAlchemyError

        try:
            if tracker.artifacts is not None:
                relocation.follow(home.folder("mlflow"))
            _open(tracker.uri)
        except (MlflowException, SQLAlchemyError, ImportError, OSError, ValueError) as error:
            raise ServiceError(
                f"tracking store {addresses.printable(tracker.uri)} cannot be used: "
                f"{addresses.printable(str(error))}"
            ) from error
    return tracker


def _open(uri: str) -> None:
    """Migrate the tables of a database and read from them."""
    from mlflow import MlflowClient
    from mlflow.utils.uri import get_uri_scheme
    from sqlalchemy import create_engine

    # MLflow itself would try for minutes to reach a database that is not there.
    if "sql" in get_uri_scheme(uri):
        embedded = addresses.sqlite_file(uri) is not None

        def connect() -> None:
            with create_engine(uri).connect() as connection:
                if embedded:
                    # Readers and a writer do not wait for each other; stored in the file.
                    connection.exec_driver_sql("PRAGMA journal_mode=WAL")

        deadline.within(SQLITE_PATIENCE if embedded else ANSWER_SECONDS, connect)
    MlflowClient(uri).search_experiments(max_results=1)


def _check_server(uri: str) -> None:
    """One real request with one limit on the whole of it: MLflow itself would try for minutes."""
    from mlflow.exceptions import MlflowException
    from mlflow.utils.credentials import get_default_host_creds
    from mlflow.utils.rest_utils import http_request

    def ask() -> str | None:
        answer = http_request(
            get_default_host_creds(uri),
            "/api/2.0/mlflow/experiments/search",
            "POST",
            json={"max_results": 1},
            max_retries=0,
            timeout=ANSWER_SECONDS,
            raise_on_status=False,
        )
        if answer.status_code != 200:
            return f"status {answer.status_code}: {addresses.printable(answer.text)}"
        try:
            content = answer.json()
        except ValueError:
            content = None
        return None if isinstance(content, dict) else addresses.printable(answer.text)

    try:
        problem = deadline.within(ANSWER_SECONDS, ask)
    except (MlflowException, OSError, ValueError) as error:
        raise ServiceError(
            f"tracking server {addresses.printable(uri)} does not answer "
            f"({addresses.printable(str(error))}); start it, or unset {VARIABLE} to use the "
            "embedded store"
        ) from error
    if problem is not None:
        raise ServiceError(
            f"{VARIABLE}: expected an MLflow server at {addresses.printable(uri)} that lists its "
            f"experiments, actual: {problem}; mend it, or unset {VARIABLE} to use the embedded "
            "store"
        )
