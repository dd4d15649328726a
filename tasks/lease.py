"""Which process is working on which run: a lock that dies with its owner.

One file a flow run, taken before the MLflow run exists, so that a process killed at any moment
leaves a trace of whatever it had begun.
"""

import fcntl
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from rlhf_core.errors import RunError
from tasks.home import Home

_held: dict[str, IO[str]] = {}


@dataclass(frozen=True)
class Abandoned:
    """What a dead process had been working on."""

    flow_run_id: str
    run_id: str | None
    """None when it died before it wrote down which run it was."""


def take(home: Home, flow_run_id: str, run_id: str | None) -> None:
    """Hold a flow run, and its run once that is known, until this process ends, however it ends.

    Raises:
        RunError: another process works on the run.
    """
    with home.locked("leases"):
        for path in _paths(home):
            owner = _read(path)
            if run_id is not None and owner.get("run_id") == run_id and not _is_free(path):
                raise RunError(f"run {run_id} is still going on in process {owner.get('pid')}")
        handle = _held.get(flow_run_id)
        if handle is None:
            handle = _held[flow_run_id] = _path(home, flow_run_id).open("a+")
            fcntl.flock(handle, fcntl.LOCK_EX)
        _write(handle, {"pid": os.getpid(), "run_id": run_id})


def assign(flow_run_id: str, run_id: str) -> None:
    """Write down which run a held flow run is."""
    _write(_held[flow_run_id], {"pid": os.getpid(), "run_id": run_id})


def release(home: Home, flow_run_id: str) -> None:
    """Let go of a flow run that was closed properly."""
    handle = _held.pop(flow_run_id, None)
    if handle is not None:
        with home.locked("leases"), handle:
            _path(home, flow_run_id).unlink(missing_ok=True)


def abandoned(home: Home) -> list[Abandoned]:
    """What dead processes left behind. It stays on record until `forget`."""
    with home.locked("leases"):
        return [
            Abandoned(path.stem, _read(path).get("run_id"))
            for path in _paths(home)
            if path.stem not in _held and _is_free(path)
        ]


def forget(home: Home, left: Abandoned) -> None:
    """Strike an abandoned flow run off the record: its runs are closed."""
    with home.locked("leases"):
        _path(home, left.flow_run_id).unlink(missing_ok=True)


def _is_free(path: Path) -> bool:
    with path.open("r+") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


def _read(path: Path) -> dict[str, Any]:
    content = path.read_text()
    # A process killed while it wrote its lease leaves half of it.
    owner: dict[str, Any] = json.loads(content) if content.endswith("}") else {}
    return owner


def _write(handle: IO[str], owner: dict[str, Any]) -> None:
    handle.seek(0)
    handle.truncate()
    handle.write(json.dumps(owner))
    handle.flush()


def _paths(home: Home) -> list[Path]:
    return sorted(home.folder("leases").glob("*.json"))


def _path(home: Home, flow_run_id: str) -> Path:
    return home.folder("leases") / f"{flow_run_id}.json"
