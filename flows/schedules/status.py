"""What became of a schedule's runs: one small file a schedule, read without any server."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path

from tasks.home import Home, private, try_lock, write_private

SERVING, PLAYING = "serving", "playing"
"""Locks: of the process that serves; and of that and of every process that plays a run for it."""


@dataclass(frozen=True)
class Status:
    """The past of a schedule."""

    runs: int = 0
    """That were played to an end."""
    skipped: int = 0
    """Times at which another run went on."""
    missed: int = 0
    """Times at which nobody served."""
    last_served: str | None = None
    """When it was last served (ISO, UTC)."""
    scheduled: str | None = None
    """Time of the last run that ended."""
    ended: str | None = None
    """When that ended."""
    state: str | None = None
    """How: Prefect's word."""
    reason: str | None = None
    """Why it did not finish."""
    flow_run_id: str | None = None
    run_id: str | None = None
    """In MLflow."""
    link: str | None = None
    """Of its page in MLflow; behind the address of `rlhf ui` where the store is embedded."""
    seed: int | None = None
    true_return: float | None = None
    """Interquartile mean over the episodes of the last evaluation."""
    playing: str | None = None
    """The flow run that goes on."""
    waiting: str | None = None
    """The flow run that is suspended until people have answered."""


def read(home: Home, name: str) -> Status:
    """The status of a schedule; an empty one where nothing happened yet."""
    try:
        return Status(**json.loads(_path(home, name).read_text()))
    except FileNotFoundError:
        return Status()


def change(home: Home, name: str, **changes: object) -> Status:
    """Write down what has changed."""
    status = replace(read(home, name), **changes)  # type: ignore[arg-type]
    write_private(_path(home, name), json.dumps(asdict(status)))
    return status


def forget(home: Home, name: str) -> None:
    """Remove the status of a schedule that was removed."""
    for path in (_path(home, name), _request(home, name), log_of(home, name)):
        path.unlink(missing_ok=True)


def request_run(home: Home, name: str) -> None:
    """Ask the process that serves for a run now."""
    write_private(_request(home, name), datetime.now().isoformat())


def requested(home: Home) -> list[str]:
    """Schedules of which a run was asked for."""
    return sorted(path.stem for path in home.folder("schedules").glob("*.now"))


def answer(home: Home, name: str) -> None:
    """Strike a request off."""
    _request(home, name).unlink(missing_ok=True)


def log_of(home: Home, name: str) -> Path:
    """What the newest run of a schedule printed."""
    return home.folder("schedules") / f"{name}.log"


@contextmanager
def held(home: Home, lock: str, patience: float = 0.0) -> Iterator[int | None]:
    """Hold a lock of those who serve; gives its descriptor, or None where another holds it.

    Args:
        home: whose schedules.
        lock: `SERVING` or `PLAYING`.
        patience: how long to wait for it (seconds); who only looks holds it for a moment.
    """
    deadline = time.monotonic() + patience
    with private(home.folder("schedules") / f"{lock}.lock", "a") as handle:
        while not (mine := try_lock(handle)) and time.monotonic() < deadline:
            time.sleep(0.05)
        yield handle.fileno() if mine else None


def is_served(home: Home) -> bool:
    """Whether a process serves the schedules of a home."""
    with held(home, SERVING) as free:
        return free is None


def _path(home: Home, name: str) -> Path:
    return home.folder("schedules") / f"{name}.json"


def _request(home: Home, name: str) -> Path:
    return home.folder("schedules") / f"{name}.now"
