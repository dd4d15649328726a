"""A command that stops at a chosen moment and waits there until the test kills it."""

import subprocess
from pathlib import Path

from tests.flows.conftest import Command, wait_until

SCRIPT = '''
"""`rlhf`, which waits before it moves a chosen file of the store into place."""

import os
import sys
import time
from pathlib import Path

FOLDER = Path(__file__).parent
PARENT = os.getppid()
counts = {"memo": 0, "unfinished": 0}


def watch(event, arguments):
    """Python raises an audit event before each move."""
    if event != "os.rename":
        return
    parts = Path(os.fsdecode(arguments[1])).parts
    for place in counts:
        # A file of a run lies in a folder of its own: store/<place>/<run id>/<name>.
        # Those of stages begin with the number of their round; the summary comes after them.
        known = parts[-1][0].isdigit() or parts[-1] == "summary.json"
        if place in parts and len(parts) - parts.index(place) == 3 and known:
            counts[place] += 1
            (FOLDER / f"moved-{place}").write_text(str(counts[place]))
            if os.environ.get(f"HOLD_{place.upper()}") == str(counts[place]):
                (FOLDER / "reached").touch()
                while os.getppid() == PARENT:
                    time.sleep(0.05)
                os._exit(1)  # The tests were killed and will not end this process.


if __name__ == "__main__":
    sys.addaudithook(watch)
    from flows.command.app import app

    app()
'''


class Barrier:
    """Starts `rlhf` so that it stops before one file of the store is in place.

    The store writes a file under a temporary name and moves it. So a command that is stopped before
    the n-th move has written n - 1 files and will not write another one, however fast the machine.
    """

    def __init__(self, command: Command) -> None:
        self._command = command
        self._reached: Path = command.folder / "reached"
        (command.folder / "barrier.py").write_text(SCRIPT)

    def start(
        self,
        *arguments: str,
        memo: int | None = None,
        unfinished: int | None = None,
        **environment: str,
    ) -> "subprocess.Popen[str]":
        """Start the command.

        Args:
            arguments: of `rlhf`.
            memo: stop before the note that this many stages are done.
            unfinished: stop before the checkpoint of this number.
            environment: further variables.
        """
        for left in self._command.folder.glob("moved-*"):
            left.unlink()
        self._reached.unlink(missing_ok=True)
        stops = {"HOLD_MEMO": memo, "HOLD_UNFINISHED": unfinished}
        chosen = {name: str(number) for name, number in stops.items() if number is not None}
        return self._command.script("barrier.py", *arguments, **chosen, **environment)

    def wait(self, process: "subprocess.Popen[str]") -> None:
        """Return when the command has stopped; fail where it ended instead."""

        def reached() -> bool:
            assert process.poll() is None or self._reached.exists(), process.communicate()
            return self._reached.exists()

        wait_until(reached)

    def moved(self, place: str) -> int:
        """Files that the command which was started last has moved, or was about to."""
        count = self._command.folder / f"moved-{place}"
        return int(count.read_text()) if count.exists() else 0
