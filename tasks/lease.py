"""Which process is working on which run: a lock that dies with its owner."""

import fcntl
import json
import os
from pathlib import Path
from typing import IO

from rlhf_core.errors import RunError
from tasks.home import Home

_held: dict[str, IO[str]] = {}


def take(home: Home, run_id: str, flow_run_id: str | None) -> None:
    """Hold the run until `release` or the end of this process, however it ends."""
    with home.locked("leases"):
        handle = _held.get(run_id) or _path(home, run_id).open("a+")
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            handle.seek(0)
            owner = json.loads(handle.read() or "{}").get("pid", "?")
            handle.close()
            raise RunError(f"run {run_id} is still going on in process {owner}") from None
        handle.seek(0)
        handle.truncate()
        json.dump({"pid": os.getpid(), "flow_run_id": flow_run_id}, handle)
        handle.flush()
        _held[run_id] = handle


def release(home: Home, run_id: str) -> None:
    """Let go of a run that was closed properly."""
    handle = _held.pop(run_id, None)
    if handle is not None:
        with home.locked("leases"), handle:
            _path(home, run_id).unlink(missing_ok=True)


def abandoned(home: Home) -> list[tuple[str, str | None]]:
    """Runs whose owner died without letting go: run id and Prefect flow run id. Told once."""
    found = []
    with home.locked("leases"):
        for path in sorted(home.folder("leases").glob("*.json")):
            with path.open("r+") as handle:
                try:
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    continue
                content = handle.read()
                # A process killed while it wrote its lease leaves half of it.
                owner = json.loads(content) if content.endswith("}") else {}
                found.append((path.stem, owner.get("flow_run_id")))
                path.unlink()
    return found


def _path(home: Home, run_id: str) -> Path:
    return home.folder("leases") / f"{run_id}.json"
