"""Connections: SQLite with a write-ahead log and full synchronisation, or PostgreSQL."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, insert, select, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import SQLAlchemyError

from rlhf_core.errors import StoreError
from rlhf_core.labelling.store.tables import SCHEMA, metadata, versions
from rlhf_core.labelling.store.turn import Turn

BUSY_SECONDS = 60
"""How long a writer waits for another process."""
RETRY_SECONDS = 0.02
"""Between two attempts to turn the write-ahead log on."""
TABLES_LOCK = 7_254_861
"""Advisory lock of PostgreSQL under which tables are made."""


class Database:
    """An engine with one way to read and one to write."""

    def __init__(self, url: str) -> None:
        self._url = _parsed(url)
        self.name = self._url.render_as_string(hide_password=True)
        """The address without its password."""
        # Threads of one process queue here rather than poll SQLite's lock.
        self._turn = Turn() if self.is_sqlite else nullcontext()
        with self._errors():
            self._engine = _sqlite(self._url) if self.is_sqlite else _postgresql(self._url)
        try:
            self._make_tables()
        except BaseException:
            self.close()
            raise

    @property
    def is_sqlite(self) -> bool:
        """Whether it is a file."""
        return self._url.get_backend_name() == "sqlite"

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A transaction that sees one state of the database."""
        with self._errors(), self._engine.connect() as connection:
            if not self.is_sqlite:
                connection.execution_options(isolation_level="REPEATABLE READ")
            with connection.begin():
                yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction that writes; it is on disk when the block has ended."""
        with (
            self._errors(),
            self._turn,
            self._engine.connect() as connection,
            connection.execution_options(writes=True).begin(),
        ):
            yield connection

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except SQLAlchemyError as error:
            cause = str(getattr(error, "orig", None) or type(error).__name__).strip()
            if self._url.password:
                cause = cause.replace(str(self._url.password), "***")
            raise StoreError(f"label store {self.name}: {cause}") from None

    def _make_tables(self) -> None:
        with self.writing() as connection:
            if not self.is_sqlite:
                connection.execute(text("select pg_advisory_xact_lock(:key)"), {"key": TABLES_LOCK})
            metadata.create_all(connection)
            version = connection.scalar(select(versions.c.version))
            if version is None:
                connection.execute(insert(versions).values(version=SCHEMA))
            elif version != SCHEMA:
                raise StoreError(
                    f"label store {self.name}: expected schema {SCHEMA}, actual: {version}; use "
                    "the version of rlhf-flows that wrote it, or another database"
                )


def _parsed(url: str) -> URL:
    expected = "expected sqlite:///PATH or postgresql+psycopg://USER@HOST/NAME"
    try:
        parsed = make_url(url)
    except (SQLAlchemyError, ValueError):
        # The address may hold a password and is not repeated.
        raise StoreError(f"label store: {expected}, actual: no address") from None
    if parsed.drivername == "postgresql":
        parsed = parsed.set(drivername="postgresql+psycopg")
    if parsed.drivername not in ("sqlite", "postgresql+psycopg"):
        raise StoreError(f"label store: {expected}, actual: {parsed.drivername}")
    if parsed.drivername == "sqlite" and parsed.database in (None, "", ":memory:"):
        raise StoreError(f"label store: {expected}, actual: a database in memory, which would end")
    return parsed


def _sqlite(url: URL) -> Engine:
    assert url.database is not None, "checked before"
    try:
        Path(url.database).parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"label store {url}: cannot be written: {error}") from error
    engine = create_engine(url, connect_args={"timeout": BUSY_SECONDS, "check_same_thread": False})

    def connected(connection: sqlite3.Connection, _: Any) -> None:
        # The driver begins no transactions of its own, so that ours can begin as writers.
        connection.isolation_level = None
        connection.execute(f"PRAGMA busy_timeout = {BUSY_SECONDS * 1000}")
        _write_ahead(connection)
        for pragma in ("synchronous = FULL", "foreign_keys = ON"):
            connection.execute(f"PRAGMA {pragma}")

    def began(connection: Connection) -> None:
        writes = connection.get_execution_options().get("writes", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    event.listen(engine, "connect", connected)
    event.listen(engine, "begin", began)
    return engine


def _write_ahead(connection: sqlite3.Connection) -> None:
    """Turn the write-ahead log on. Processes that do it at once are not queued by SQLite."""
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(RETRY_SECONDS)
        else:
            return


def _postgresql(url: URL) -> Engine:
    try:
        import psycopg  # noqa: F401
    except ImportError as error:
        raise StoreError(
            f"label store: PostgreSQL needs psycopg ({error}); install rlhf-flows[postgresql]"
        ) from error
    # A commit must be on disk before it is acknowledged, whatever the server's default is.
    options = {"options": "-c synchronous_commit=on", "connect_timeout": 10}
    return create_engine(url, connect_args=options, pool_pre_ping=True, pool_size=10)
