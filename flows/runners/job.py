"""A run that is handed out to be played, and what those who play it have in common."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from rlhf_core.errors import RlhfError
from rlhf_core.sweep.curves import Curve
from tasks import progress

Receive = Callable[[progress.Event], None]
"""Hears of what happens in a run."""


@dataclass(frozen=True)
class Job:
    """A run to play, small enough to be sent to a worker."""

    experiment: Mapping[str, Any]
    """The fields that it was given; the others have their defaults."""
    cell: str
    group: str
    """Name of the comparison."""
    parent: str
    """The comparison's own run."""
    prefect_run: str
    """The flow run of the comparison."""
    prefect_page: str | None
    """Address of Prefect's page, where it lasts."""
    run_id: str | None
    """The run to go on with; None starts one."""
    owner: str
    """Who plays it. Handed out again under the same owner, it goes on with the run it began."""
    bar: Curve = field(default_factory=list)
    """What its true return must reach to go on."""


class RunFailedError(RlhfError):
    """A run failed; the others go on."""

    def __init__(self, reason: str, run_id: str | None = None) -> None:
        super().__init__(reason)
        self.run_id = run_id
        """Of MLflow, where the run had begun."""


class WorkerLostError(RunFailedError):
    """The process that played a run is gone, and the run can go on in another."""


class RunnerLeftError(RunFailedError):
    """The runner was left or lost in the middle of a run, which goes on when it is run again."""

    def __init__(self, run_id: str | None = None, why: str = "ended in the middle") -> None:
        super().__init__(f"{why}; it goes on when the same is run again", run_id)


class Runner(Protocol):
    """Plays runs, several at a time; `play` is called from as many threads."""

    count: int
    """Runs that are played at the same time."""

    def play(self, job: Job, receive: Receive) -> dict[str, Any]:
        """Play a run to its end; returns its summary.

        Args:
            job: the run.
            receive: hears of what happens in it, as far as the runner tells before the end.

        Raises:
            RunFailedError: it failed.
            WorkerLostError: whoever played it is gone.
        """
        ...

    def close(self) -> None:
        """End what still plays, and let go of the workers."""
        ...
