"""Errors of a command: one line, a status, and the whole in a log where it may be needed.

==================  ======  ==================================================================
what happened       status  what the line says
==================  ======  ==================================================================
bad input           2       field, what was expected, what came
a broken            1       the exception, the user's file and line, and the log
environment or
plug-in, divergence
the machine         1       what the operating system says, and the log
anything else       1       that it is a defect of rlhf-flows, and the log
==================  ======  ==================================================================
"""

import os
import time
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import typer

from rlhf_core.errors import (
    BrokenEnvironmentError,
    DivergedError,
    MatrixError,
    RlhfError,
    UnusedFieldWarning,
)
from tasks.reasons import line, unexpected

PROBLEMS = 20
"""Problems of a comparison that are printed, one line each."""


@contextmanager
def plain_errors(home: Path | None = None) -> Iterator[None]:
    """Let errors end the command with one line; notes go to standard error.

    Args:
        home: whose folder `logs` holds the traceback of an error that is no bad input.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", UnusedFieldWarning)
        try:
            yield
        except (typer.Exit, typer.Abort):
            raise
        except (BrokenEnvironmentError, DivergedError) as error:
            _fail(str(error), error, home)
        except MatrixError as error:
            for problem in error.problems[:PROBLEMS]:
                typer.echo(f"error: {line(problem)}", err=True)
            if len(error.problems) > PROBLEMS:
                typer.echo(f"error: and {len(error.problems) - PROBLEMS} more", err=True)
            raise typer.Exit(2) from None
        except RlhfError as error:
            typer.echo(f"error: {line(str(error))}", err=True)
            raise typer.Exit(2) from None
        except (Exception, SystemExit) as error:
            _fail(unexpected(error), error, home)
        finally:
            unused: dict[str, dict[str, None]] = {}
            for note in caught:
                if isinstance(note.message, UnusedFieldWarning):
                    unused.setdefault(note.message.kind, {})[note.message.field] = None
            for kind, fields in unused.items():
                typer.echo(f"note: '{kind}' does not use {line(', '.join(fields))}", err=True)


def _fail(text: str, error: BaseException, home: Path | None) -> None:
    typer.echo(f"error: {line(text)}{_logged(error, home)}", err=True)
    raise typer.Exit(1) from None


def _logged(error: BaseException, home: Path | None) -> str:
    """Write the whole traceback into a log of the home, and say where."""
    from tasks.addresses import masked
    from tasks.home import Home, write_private

    try:
        folder = Home(home).folder("logs")
        path = folder / f"{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}.log"
        write_private(path, masked("".join(traceback.format_exception(error))))
    except (OSError, RlhfError) as unwritten:
        return f"; the traceback could not be written: {line(str(unwritten))}"
    return f"; the whole traceback: {path}"
