"""A home that was moved or copied: its database follows to where the files are now.

MLflow writes the absolute place of every artifact into its database. A home that lies elsewhere now
would read from the old place, and write to it.
"""

import os
import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import unquote, urlsplit

from tasks.home import write_private

COLUMNS = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
)
"""Where MLflow keeps places, by table and column."""
PATIENCE_SECONDS = 60.0
"""Longest wait for another process's lock on the database."""


def follow(folder: Path) -> None:
    """Let the embedded database name its artifacts where they are; no other process may use it.

    Places that lie outside of the home stay as they are. The place is written down beside the
    database; one of an earlier version follows from where its experiments lie.

    Args:
        folder: of the database and its artifacts, `mlflow` in the home.
    """
    here = (folder / "artifacts").as_uri()
    record = folder / "place"
    before = record.read_text(encoding="utf-8").strip() if record.exists() else None
    if before == here:
        return
    database = folder / "mlflow.db"
    if database.exists():
        # Closing lets go of the file; the inner block commits, or takes everything back.
        connecting = sqlite3.connect(database, timeout=PATIENCE_SECONDS)
        with closing(connecting) as connection, connection:
            present = _columns(connection)
            for old in [before] if before else _experiments(connection, present):
                if old != here and not _same(old, here):
                    _rewrite(connection, present, old, here)
    write_private(record, here)


def _columns(connection: sqlite3.Connection) -> list[tuple[str, str]]:
    """The columns of places that this version of the database has."""
    query = "SELECT COUNT(*) FROM pragma_table_info(?) WHERE name = ?"
    return [pair for pair in COLUMNS if connection.execute(query, pair).fetchone()[0]]


def _experiments(connection: sqlite3.Connection, present: list[tuple[str, str]]) -> list[str]:
    """Places of experiments that lie in a home."""
    if COLUMNS[0] not in present:
        return []
    rows = connection.execute("SELECT DISTINCT artifact_location FROM experiments").fetchall()
    places = [place for (place,) in rows if place is not None]
    return [p for p in places if p.startswith("file://") and p.endswith("/mlflow/artifacts")]


def _same(old: str, here: str) -> bool:
    """Whether two addresses are one folder, such as through a link."""
    paths = [Path(unquote(urlsplit(address).path)) for address in (old, here)]
    return all(path.exists() for path in paths) and os.path.samefile(*paths)


def _rewrite(
    connection: sqlite3.Connection, present: list[tuple[str, str]], old: str, here: str
) -> None:
    for table, column in present:
        connection.execute(
            # Names of ours; a parameter cannot stand for a name.
            f"UPDATE {table} SET {column} = ? || substr({column}, ?) "  # noqa: S608
            f"WHERE {column} = ? OR substr({column}, 1, ?) = ?",
            (here, len(old) + 1, old, len(old) + 1, f"{old}/"),
        )
