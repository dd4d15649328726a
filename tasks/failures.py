"""The record of an exception that ends a run: its traceback, without secrets of addresses."""

import traceback
from collections.abc import Iterator
from contextlib import contextmanager

from rlhf_core.errors import AnswersPendingError, BrokenEnvironmentError, DivergedError, RlhfError
from tasks.addresses import masked
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
        if _is_loggable(error):
            text = masked("".join(traceback.format_exception(error)))
            try:
                log_files(run.tracker, run.run_id, {TRACEBACK: text.encode()})
            except Exception as unlogged:
                # The user needs the first error, and not this one.
                error.add_note(masked(f"its traceback was not logged: {unlogged}"))
        raise


def mask_texts(error: BaseException) -> None:
    """Replace secrets of addresses in the texts that an exception and its causes were made of."""
    chain: list[BaseException] = []
    link: BaseException | None = error
    while link is not None and link not in chain:
        chain.append(link)
        link = link.__cause__ or link.__context__
    for link in chain:
        link.args = tuple(masked(part) if isinstance(part, str) else part for part in link.args)


def _is_loggable(error: Exception) -> bool:
    """Whether the traceback of an error tells more than its message, and can be logged."""
    if isinstance(error, RlhfError):
        return isinstance(error, (BrokenEnvironmentError, DivergedError))
    return type(error).__module__.partition(".")[0] not in SERVICES
