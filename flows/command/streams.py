"""Standard output belongs to the command: what user code prints goes to standard error."""

import atexit
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout

OUT, ERR = 1, 2
"""File descriptors of standard output and standard error."""
_outputs: list[int] = []
"""Copies of the standard output that blocks of `prints_on_stderr` have put aside."""


@contextmanager
def prints_on_stderr() -> Iterator[None]:
    """Send everything that is printed inside the block to standard error.

    Python's prints, those of libraries in C, and those of processes that are started inside. What
    user code prints when the process ends goes there as well.
    """
    if sys.stdout is not None:
        sys.stdout.flush()
    try:
        standard_output = os.dup(OUT)
    except OSError:
        # Standard output was closed by whoever started the command.
        with redirect_stdout(sys.stderr):
            yield
        return
    own = sys.stdout is sys.__stdout__
    os.dup2(ERR, OUT)
    _outputs.append(standard_output)
    try:
        with redirect_stdout(sys.stderr):
            yield
    finally:
        _outputs.remove(standard_output)
        os.dup2(standard_output, OUT)
        os.close(standard_output)
        if own:
            # Functions run in reverse order at exit: this one before those of user code.
            atexit.register(_leave_stdout)


@contextmanager
def prints_on_stdout() -> Iterator[None]:
    """Send what Python prints inside the block to standard output, also in `prints_on_stderr`."""
    if not _outputs:
        yield
        return
    with open(os.dup(_outputs[-1]), "w", encoding="utf-8") as stream, redirect_stdout(stream):
        yield


def _leave_stdout() -> None:
    sys.stdout.flush()
    os.dup2(ERR, OUT)
