"""The table of a run's states: what is in it happens, and nothing else."""

from itertools import product

import pytest

from rlhf_core.errors import RunError
from tasks.runs.states import MOVES, Event, State, after


@pytest.mark.parametrize(("state", "event"), list(product(State, Event)))
def test_a_run_moves_as_the_table_says_or_refuses(state: State, event: Event) -> None:
    if (state, event) in MOVES:
        assert after("r1", state, event) is MOVES[state, event]
    else:
        with pytest.raises(RunError, match="run r1 is"):
            after("r1", state, event)


def test_only_a_run_that_goes_on_can_end_and_a_finished_one_stays_finished() -> None:
    ends = {Event.FINISH, Event.FAIL, Event.ABANDON, Event.WAIT}
    assert {state for state, event in MOVES if event in ends} == {State.RUNNING}
    # A run that waits for people can be given up for a newer one.
    cancelled = {state for state, event in MOVES if event is Event.CANCEL}
    assert cancelled == {State.RUNNING, State.WAITING}
    # A comparison alone is extended after its end.
    assert {event for state, event in MOVES if state is State.FINISHED} == {Event.EXTEND}
    # Whatever is not finished can be taken up again.
    resumed = {state for state, event in MOVES if event is Event.RESUME}
    assert resumed == set(State) - {State.FINISHED}


@pytest.mark.parametrize("state", list(State))
def test_mlflow_keeps_every_state(state: State) -> None:
    assert State.of(state.status) is state
