"""A PostgreSQL cluster for the tests: in a temporary folder, reached by a Unix socket alone."""

import os
import pwd
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PASSWORD = "s3cret-of-the-test"
USER = "labels"


def programs() -> Path | None:
    """The folder with `initdb` and `pg_ctl` of the newest version; None where there is none."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return found[-1].parent if found else None


@contextmanager
def cluster(folder_of_programs: Path) -> Iterator["Cluster"]:
    """A running cluster; it is ended and removed afterwards."""
    # PostgreSQL refuses to run as root.
    other = pwd.getpwnam("nobody") if os.geteuid() == 0 else None
    folder = Path(tempfile.mkdtemp(prefix="rlhf-pg-"))
    data, password = folder / "data", folder / "password"
    password.write_text(PASSWORD)
    if other is not None:
        for path in (folder, password):
            os.chown(path, other.pw_uid, other.pw_gid)

    def call(program: str, *arguments: str) -> None:
        with (folder / "output.txt").open("ab") as output:
            done = subprocess.run(
                [str(folder_of_programs / program), *arguments],
                user=None if other is None else other.pw_uid,
                group=None if other is None else other.pw_gid,
                extra_groups=None if other is None else [],
                cwd=folder,
                env={"PATH": os.environ["PATH"], "LC_ALL": "C"},
                stdout=output,
                stderr=output,
                timeout=120,
            )
        assert done.returncode == 0, (folder / "output.txt").read_text()

    try:
        call(
            "initdb", "-D", str(data), "-U", USER, "--pwfile", str(password), "-E", "UTF8",
            "-A", "scram-sha-256", "--no-sync",
        )  # fmt: skip
        settings = f"-c listen_addresses='' -k {folder} -c max_connections=200 -c fsync=off"
        call("pg_ctl", "-D", str(data), "-w", "-o", settings, "-l", str(folder / "log"), "start")
        try:
            yield Cluster(folder)
        finally:
            call("pg_ctl", "-D", str(data), "-w", "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class Cluster:
    """A running cluster."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def url(self, database: str, password: str = PASSWORD) -> str:
        """The address of a database."""
        return f"postgresql+psycopg://{USER}:{password}@/{database}?host={self.folder}"

    def new_database(self) -> str:
        """The address of an empty database."""
        import psycopg

        name = f"test_{secrets.token_hex(6)}"
        with psycopg.connect(
            host=str(self.folder), user=USER, password=PASSWORD, dbname="postgres", autocommit=True
        ) as connection:
            connection.execute(f"create database {name}")
        return self.url(name)
