"""The states of a run, and every move between them: the one table of a run's life."""

from enum import StrEnum

from rlhf_core.errors import RunError


class State(StrEnum):
    """Where a run stands."""

    RUNNING = "RUNNING"
    WAITING = "WAITING"
    """People have not answered yet; no process works on the run meanwhile."""
    FINISHED = "FINISHED"
    FAILED = "FAILED"
    """It broke; the reason stands in a tag."""
    KILLED = "KILLED"
    """It was cancelled, interrupted, or its process died."""

    @property
    def ended(self) -> bool:
        """Whether nothing goes on by itself any more."""
        return self not in (State.RUNNING, State.WAITING)

    @property
    def status(self) -> str:
        """MLflow's word for it."""
        return "SCHEDULED" if self is State.WAITING else self.value

    @classmethod
    def of(cls, status: str) -> "State":
        """The state that MLflow's word stands for."""
        return State.WAITING if status == "SCHEDULED" else State(status)


class Event(StrEnum):
    """What can happen to a run."""

    FINISH = "finish"
    FAIL = "fail"
    CANCEL = "cancel"
    ABANDON = "abandon"
    """Its process ended without closing it."""
    WAIT = "wait"
    RESUME = "resume"
    EXTEND = "extend"
    """More cells or seeds are added to a comparison."""


MOVES: dict[tuple[State, Event], State] = {
    (State.RUNNING, Event.FINISH): State.FINISHED,
    (State.RUNNING, Event.FAIL): State.FAILED,
    (State.RUNNING, Event.CANCEL): State.KILLED,
    (State.RUNNING, Event.ABANDON): State.KILLED,
    (State.RUNNING, Event.WAIT): State.WAITING,
    # A killed process leaves its run open; its lease says whether a process works on it.
    (State.RUNNING, Event.RESUME): State.RUNNING,
    (State.WAITING, Event.RESUME): State.RUNNING,
    (State.WAITING, Event.CANCEL): State.KILLED,
    (State.FAILED, Event.RESUME): State.RUNNING,
    (State.KILLED, Event.RESUME): State.RUNNING,
    **{(state, Event.EXTEND): State.RUNNING for state in State},
}
"""The state after an event; a pair that is absent does not happen."""


def after(run_id: str, state: State, event: Event) -> State:
    """The state of a run after an event.

    Raises:
        RunError: the event does not happen to a run in this state.
    """
    move = MOVES.get((state, event))
    if move is None:
        hint = "; start a new one with rlhf train" if event is Event.RESUME else ""
        raise RunError(f"run {run_id} is {state.lower()}, so it cannot {event}{hint}")
    return move
