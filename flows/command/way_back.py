"""The way back into a run: whatever ends the command, it says how the run can go on."""

import os
import sys
from collections.abc import Callable
from types import TracebackType
from typing import Any

import typer

from flows.command.display import program
from flows.command.ending import Ending
from flows.command.streams import prints_on_stdout
from rlhf_core.errors import RlhfError
from tasks import progress
from tasks.addresses import printable
from tasks.home import Home

REASON = "interrupted by {name}; go on: {way}"
NAMES = {1: "a closed terminal (SIGHUP)", 2: "Ctrl-C", 15: "SIGTERM"}


class WayBack:
    """A context in which a run goes on. Left by a signal, it ends the command with its status.

    Once a run is recorded as finished nothing that Prefect does, or fails to do, keeps the command
    from giving its result.
    """

    def __init__(
        self,
        home: Home,
        option: str,
        show: Callable[[dict[str, Any]], None],
        comparison: str | None = None,
        retraining: bool = False,
    ) -> None:
        """A context.

        Args:
            home: of the run.
            option: ` --home FOLDER` where the user named a folder, for what is printed.
            show: prints the summary of a run.
            comparison: name of the comparison that is played, where it is one.
            retraining: whether a gate follows after the run, whose result alone counts.
        """
        self.result: dict[str, Any] = {}
        """What the flow returned, or the summary of a run that is recorded as finished."""
        self._home, self._option, self._show = home, option, show
        self._comparison, self._retraining = comparison, retraining
        self._run_id: str | None = None
        self._finished = False
        self._ending = Ending(self._close, self._last_words)
        self._listening = progress.listening(self._hear)

    def __enter__(self) -> "WayBack":
        self._ending.begin()
        self._listening.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        self._ending.notice()
        self._listening.__exit__(kind, error, traceback)
        self._ending.end()
        if error is None:
            return False
        if self._finished:
            # A sentence for what we know, the kind of error for what Prefect made of it.
            what = str(error) if isinstance(error, RlhfError) else f"{kind.__name__}: {error}"  # type: ignore[union-attr]
            self._say(f"note: the {self._what} is finished, and then: {printable(what)}")
            return True
        if self._ending.number is None:
            if self._run_id is not None:
                self._say(f"stopped; {self._how}")
            return False
        try:
            self._close()
        except Exception as failure:  # Whatever it is: the next command closes the run.
            self._say(f"note: the run is still open ({printable(str(failure))})")
        self._say(f"interrupted; {self._how}" if self._run_id else "interrupted")
        raise typer.Exit(self._ending.status) from None

    @property
    def _what(self) -> str:
        return "run" if self._comparison is None else "comparison"

    @property
    def _how(self) -> str:
        if self._comparison is not None:
            return "to go on: the same command again; runs that are finished are not played again"
        return f"to go on: {program()} resume {self._run_id}{self._option}"

    def _hear(self, event: progress.Event) -> None:
        match event:
            case progress.Opened(run_id, resumed):
                self._run_id = run_id
                self._say(f"{'resumed' if resumed else 'started'} {self._what} {run_id}")
            case progress.Damaged(_, what):
                self._say(f"{what}; it is made again")
            case progress.Noted(_, text):
                self._say(text)
            case progress.Finished() if self._retraining:
                self._say("trained; the gate follows")
            case progress.Finished(_, summary):
                self._finished, self.result = True, dict(summary)
                self._ending.farewell()

    def _close(self) -> None:
        """Close the run as interrupted, where Prefect's hooks have not done so."""
        from tasks.runs.lifecycle import close_interrupted

        if self._run_id is not None and not self._finished:
            name = NAMES.get(self._ending.number or 0, "a signal")
            way = f"rlhf resume {self._run_id}" if self._comparison is None else "rlhf compare"
            reason = REASON.format(name=name, way=way)
            close_interrupted(self._home, self._run_id, reason)

    def _last_words(self) -> None:
        """Say in another thread what the main one has not come to say."""
        if self._finished:
            self._say(
                f"note: the {self._what} is finished; its Prefect server was lost, or is too slow"
            )
            with prints_on_stdout():
                self._show(self.result)
        elif self._run_id is not None:
            self._say(f"ended by force; {self._how}")
        else:
            self._say("ended by force")

    def _say(self, text: str) -> None:
        """Print a line to standard error, unless the terminal that it went to was closed."""
        try:
            typer.echo(text, err=True)
        except OSError:
            # Python would fail in its last moments, when it flushes what nobody reads any more.
            nowhere = os.open(os.devnull, os.O_WRONLY)
            for stream in (sys.stdout, sys.stderr):
                os.dup2(nowhere, stream.fileno())
