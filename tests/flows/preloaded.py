"""Commands that begin with the libraries imported, so that tests do not wait for it each time.

A process of its own imports what the commands need, without starting a thread, and forks for each
of them. Prefect and MLflow read the environment when they are imported, so every command imports
those itself, and all of this project.
"""

import array
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

LIBRARIES = (
    "alembic", "fastapi", "gymnasium", "httpx", "jinja2", "matplotlib.figure", "pandas", "pyarrow",
    "matplotlib.backends.backend_agg", "pydantic_settings", "rich.console", "scipy.stats",
    "sqlalchemy.dialects.sqlite", "sqlalchemy.ext.asyncio", "stable_baselines3.common.policies",
    "torch._dynamo", "typer", "yaml",
)  # fmt: skip
"""What commands import sooner or later; one that is not installed is left out."""


class Preloaded:
    """The process that forks. `close` ends it, and leaves what it has started."""

    def __init__(self, folder: Path) -> None:
        """Start it; its socket lies in the folder."""
        self._path = folder / "preloaded.socket"
        listening = socket.socket(socket.AF_UNIX)
        listening.bind(str(self._path))
        listening.listen()
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", __name__, str(listening.fileno())],
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            pass_fds=[listening.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        listening.close()

    def start(
        self, arguments: Sequence[str], environment: Mapping[str, str], folder: Path
    ) -> "subprocess.Popen[str]":
        """Start Python with these arguments in a folder; returns at once."""
        return Forked(self._path, arguments, environment, folder)

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()


class Forked(subprocess.Popen[str]):
    """A command that the process above has forked, as `subprocess.Popen` has it with pipes."""

    _child_created = False  # Of this process: there is none to reap.

    def __init__(
        self, path: Path, arguments: Sequence[str], environment: Mapping[str, str], folder: Path
    ) -> None:
        """Have it started."""
        self.args, self.returncode = [sys.executable, *arguments], None
        self._lock = threading.Lock()
        self._channel = socket.socket(socket.AF_UNIX)
        self._channel.connect(str(path))
        pipes = os.pipe(), os.pipe()
        whole = {"arguments": list(arguments), "environment": dict(environment),
                 "folder": str(folder)}  # fmt: skip
        content = json.dumps(whole).encode()
        descriptors = array.array("i", [write for _, write in pipes])
        self._channel.sendmsg(
            [len(content).to_bytes(8, "big")],
            [(socket.SOL_SOCKET, socket.SCM_RIGHTS, descriptors)],
        )
        self._channel.sendall(content)
        for _, write in pipes:
            os.close(write)
        self.stdin = None
        self.stdout, self.stderr = (os.fdopen(read, encoding="utf-8") for read, _ in pipes)
        self.pid = int.from_bytes(_exactly(self._channel, 8), "big")

    def poll(self) -> int | None:
        """The exit status, or None while it runs."""
        return self._ended(0)

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end."""
        status = self._ended(timeout)
        if status is None:
            assert timeout is not None
            raise subprocess.TimeoutExpired(self.args, timeout)
        return status

    def _ended(self, timeout: float | None) -> int | None:
        with self._lock:
            if self.returncode is None and select.select([self._channel], [], [], timeout)[0]:
                content = _exactly(self._channel, 8)
                self.returncode = int.from_bytes(content, "big", signed=True)
                self._channel.close()
            return self.returncode

    def communicate(
        self, input: str | None = None, timeout: float | None = None
    ) -> tuple[str, str]:
        """Read all that it prints, and wait for its end."""
        texts = ["", ""]

        def read(place: int, stream: Any) -> None:
            texts[place] = stream.read()
            stream.close()

        streams = [one for one in (self.stdout, self.stderr) if one is not None and not one.closed]
        threads = [
            threading.Thread(target=read, args=(place, stream), daemon=True)
            for place, stream in enumerate(streams)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(timeout)
            if thread.is_alive():
                raise subprocess.TimeoutExpired(self.args, timeout or 0)
        self.wait(timeout)
        return texts[0], texts[1]

    def send_signal(self, sig: int) -> None:
        """Send a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, sig)


def _exactly(channel: socket.socket, count: int) -> bytes:
    content = b""
    while len(content) < count:
        part = channel.recv(count - len(content))
        if not part:
            raise EOFError("the process that forks has ended")
        content += part
    return content


def serve(listening: socket.socket) -> dict[str, Any]:
    """Fork for each connection; returns in the command's own process alone, with what it is."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        channel, _ = listening.accept()
        if os.fork() == 0:
            listening.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            return _watch(channel)
        channel.close()


def _watch(channel: socket.socket) -> dict[str, Any]:
    """Fork the command, tell its process id and its end; returns in the command's process alone."""
    size, ancillary, _, _ = channel.recvmsg(8, socket.CMSG_LEN(2 * array.array("i").itemsize))
    descriptors = array.array("i")
    descriptors.frombytes(ancillary[0][2])
    whole: dict[str, Any] = json.loads(_exactly(channel, int.from_bytes(size, "big")))
    child = os.fork()
    if child == 0:
        channel.close()
        for descriptor, place in zip(descriptors, (1, 2), strict=True):
            os.dup2(descriptor, place)
            os.close(descriptor)
        return whole
    for descriptor in descriptors:
        os.close(descriptor)
    channel.sendall(child.to_bytes(8, "big"))
    ended = os.pidfd_open(child)
    # Whoever has asked for it may be gone first.
    ready, _, _ = select.select([ended, channel], [], [])
    if ended in ready:
        _, status = os.waitpid(child, 0)
        code = os.waitstatus_to_exitcode(status)
        channel.sendall(code.to_bytes(8, "big", signed=True))
    os._exit(0)


def main() -> None:
    """Import, serve, and in each command's own process become that command."""
    listening = socket.socket(fileno=int(sys.argv[1]))
    for name in LIBRARIES:
        try:
            import_module(name)
        except ImportError:
            continue
    become(serve(listening))


def become(whole: Mapping[str, Any]) -> None:
    """Run Python with the arguments, in the environment and the folder that were asked for."""
    import runpy

    os.chdir(whole["folder"])
    os.environ.clear()
    os.environ.update(whole["environment"])
    arguments: list[str] = whole["arguments"]
    sys.orig_argv = [sys.executable, *arguments]
    further = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    # As Python itself does it: the working folder with -m, the script's folder else.
    if arguments[0] == "-m":
        sys.path[:0] = [whole["folder"], *filter(None, further)]
        sys.argv = ["", *arguments[2:]]
        runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)
    else:
        sys.path[:0] = [str(Path(arguments[0]).resolve().parent), *filter(None, further)]
        sys.argv = arguments[:]
        runpy.run_path(arguments[0], run_name="__main__")


if __name__ == "__main__":
    main()
