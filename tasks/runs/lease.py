"""Which process is working on which run: a lock that dies with its owner.

One file a flow run, taken before the MLflow run exists, so that a process killed at any moment
leaves a trace of whatever it had begun.
"""

import fcntl
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from rlhf_core.errors import RunError
from tasks.addresses import masked
from tasks.home import Home, private, try_lock

_held: dict[str, IO[str]] = {}


@dataclass(frozen=True)
class Abandoned:
    """The work of a process that ended without closing it."""

    flow_run_id: str
    run_id: str | None
    """None where the process ended before it wrote the id down."""
    taken_up: bool
    """Whether another process has resumed the run since."""


def take(home: Home, flow_run_id: str, run_id: str | None) -> None:
    """Hold a flow run, and its run once that has an id, until this process ends, however it ends.

    Raises:
        RunError: another process works on the run.
    """
    with home.locked("leases"):
        for path in _paths(home):
            owner = _read(path)
            if run_id is not None and owner.get("run_id") == run_id and not _is_free(path):
                raise RunError(f"run {run_id} is still going on in process {owner.get('pid')}")
        if flow_run_id not in _held:
            handle = _held[flow_run_id] = private(_path(home, flow_run_id), "a+")
            fcntl.flock(handle, fcntl.LOCK_EX)
        assign(flow_run_id, run_id)


def assign(flow_run_id: str, run_id: str | None) -> None:
    """Write down which run a held flow run is, and which servers know of it."""
    handle = _held[flow_run_id]
    handle.seek(0)
    handle.truncate()
    json.dump({"pid": os.getpid(), "run_id": run_id, **_servers()}, handle)
    handle.flush()


def release(home: Home, flow_run_id: str) -> None:
    """Let go of a flow run that was closed properly."""
    handle = _held.pop(flow_run_id, None)
    if handle is not None:
        with home.locked("leases"), handle:
            _path(home, flow_run_id).unlink(missing_ok=True)


def close_abandoned(home: Home, close: Callable[[Abandoned], None]) -> None:
    """Let `close` close what dead processes left open, and strike it off the record.

    No run can be taken up meanwhile. Runs of other servers stay on record until a command of
    these servers closes them.
    """
    with home.locked("leases"):
        owners = {path: _read(path) for path in _paths(home)}
        free = {path for path in owners if path.stem not in _held and _is_free(path)}
        alive = {owner.get("run_id") for path, owner in owners.items() if path not in free}
        for path in sorted(free):
            owner = owners[path]
            if any(owner.get(name, server) != server for name, server in _servers().items()):
                continue
            run_id = owner.get("run_id")
            close(Abandoned(path.stem, run_id, run_id is not None and run_id in alive))
            path.unlink()


@dataclass(frozen=True)
class Working:
    """A process that works on a run."""

    run_id: str | None
    pid: int


@contextmanager
def nobody_works(home: Home) -> Iterator[list[Working]]:
    """The processes that work on runs of this home; no other can begin to inside of the block."""
    with home.locked("leases"):
        owners = [_read(path) for path in _paths(home) if not _is_free(path)]
        yield [Working(owner.get("run_id"), int(owner.get("pid", 0))) for owner in owners]


def _servers() -> dict[str, str | None]:
    """The servers that this process speaks with, masked; embedded ones belong to the home."""
    embedded = os.environ.get("PREFECT_API_URL") == os.environ.get("RLHF_EMBEDDED_PREFECT")
    own = {
        "tracking": os.environ.get("MLFLOW_TRACKING_URI"),
        "prefect": None if embedded else os.environ.get("PREFECT_API_URL"),
    }
    return {name: address and masked(address) for name, address in own.items()}


def _is_free(path: Path) -> bool:
    with path.open("r+") as handle:
        return try_lock(handle)


def _read(path: Path) -> dict[str, Any]:
    content = path.read_text()
    # A process killed while it wrote its lease leaves half of it.
    owner: dict[str, Any] = json.loads(content) if content.endswith("}") else {}
    return owner


def _paths(home: Home) -> list[Path]:
    return sorted(home.folder("leases").glob("*.json"))


def _path(home: Home, flow_run_id: str) -> Path:
    return home.folder("leases") / f"{flow_run_id}.json"
