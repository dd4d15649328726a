"""Label servers in processes of their own."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

ROOT = Path(__file__).parents[3]
START_SECONDS = 60.0


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
    return port


def start(
    folder: Path, port: int, log: Path | None = None, url: str = ""
) -> subprocess.Popen[bytes]:
    """Start the server of a folder and wait until it answers."""
    with open(log or os.devnull, "ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.labelling.server.serve_folder", str(folder), str(port)]
            + ([url] if url else []),
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
            stdout=output,
            stderr=output,
        )
    end = time.monotonic() + START_SECONDS
    while not _answers(port):
        if process.poll() is not None or time.monotonic() > end:
            raise RuntimeError(f"the server does not start: {process.poll()}")
        time.sleep(0.02)
    return process


def kill(process: subprocess.Popen[bytes]) -> None:
    """End a server as a power cut does."""
    process.send_signal(signal.SIGKILL)
    process.wait()


@contextmanager
def serving_process(folder: Path, log: Path | None = None, url: str = "") -> Iterator[str]:
    """The address of a server in a process of its own."""
    port = free_port()
    process = start(folder, port, log, url)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        kill(process)


def _answers(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/health").status_code == 200
    except httpx.TransportError:
        return False
