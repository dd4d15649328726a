"""What is kept of an exception that ends a run."""

import traceback
from collections.abc import Iterator
from contextlib import contextmanager

from rlhf_core.errors import AnswersPendingError, BrokenEnvironmentError, DivergedError, RlhfError
from tasks.runs.run import Run
from tasks.tracking.logging import log_files

TRACEBACK = "errors/traceback.txt"
"""The artifact of a run that failed."""
SERVICES = ("prefect", "mlflow", "httpx", "sqlalchemy", "requests")
"""Packages whose exceptions say that a server or a database is gone: nothing can be sent there."""


@contextmanager
def recorded(run: Run) -> Iterator[None]:
    """Log the traceback of what goes wrong inside the block as an artifact of the run."""
    try:
        yield
    except AnswersPendingError:
        raise
    except Exception as error:
        if _is_told(error):
            text = "".join(traceback.format_exception(error))
            try:
                log_files(run.tracker, run.run_id, {TRACEBACK: text.encode()})
            except Exception as unlogged:
                # The error itself is what has to be told.
                error.add_note(f"its traceback was not logged: {unlogged}")
        raise


def _is_told(error: Exception) -> bool:
    """Whether the traceback of an error tells more than its message, and can be logged."""
    if isinstance(error, RlhfError):
        return isinstance(error, (BrokenEnvironmentError, DivergedError))
    return type(error).__module__.partition(".")[0] not in SERVICES
