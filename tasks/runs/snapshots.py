"""What a run had at the end of one of its rounds, read from the store."""

import re
from dataclasses import dataclass
from typing import Any

from rlhf_core.errors import RunError, StoreError
from rlhf_core.experiment import Experiment
from rlhf_core.feedback_strategy import FeedbackState
from rlhf_core.policies import PolicyState
from tasks.home import Home
from tasks.runs import lifecycle, outcome

ADDRESS = re.compile(r"([0-9A-Za-z]+)(?:@([1-9][0-9]{0,5}))?")
STAGE = re.compile(r"(\d+)-optimise-[0-9a-f]+")
"""A memo of the stage that ends with a round's policy and feedback."""


@dataclass(frozen=True, eq=False)
class Snapshot:
    """Policy and feedback at the end of a round."""

    run_id: str
    round: int
    """From 1."""
    experiment: Experiment
    """Of that run."""
    policy: PolicyState
    feedback: FeedbackState

    @property
    def address(self) -> str:
        """`RUN_ID@ROUND`, which names it."""
        return f"{self.run_id}@{self.round}"


def read(home: Home, address: str, field: str = "--from") -> Snapshot:
    """Read a snapshot.

    Args:
        home: in whose store the run is.
        address: `RUN_ID`, for the last round that was played, or `RUN_ID@ROUND`; the beginning of
            an id does, where one run alone begins so.
        field: where the address was given, for messages.

    Raises:
        RunError: the run or the round is unknown, or what it left is no longer in the store.
    """
    parts = ADDRESS.fullmatch(address)
    if parts is None:
        raise RunError(f"{field}: expected RUN_ID or RUN_ID@ROUND (from 1), actual: '{address}'")
    run_id = outcome.whole_id(home, parts[1])
    experiment = lifecycle.recorded_experiment(home, run_id)
    try:
        rounds = _rounds(home, run_id)
    except StoreError as error:
        raise RunError(f"{field}: run {run_id} cannot be read: {error}") from error
    if not rounds:
        raise RunError(
            f"{field}: expected a run with a finished round in the store of {home.path}, actual: "
            f"{run_id}, which has none there"
        )
    round = max(rounds) if parts[2] is None else int(parts[2])
    if round not in rounds:
        raise RunError(
            f"{field}: expected a round from {min(rounds)} to {max(rounds)} of run {run_id}, "
            f"actual: {round}"
        )
    refs = rounds[round]["refs"]
    try:
        policy = home.store.get(refs["policy"], PolicyState)
        feedback = home.store.get(refs["feedback"], FeedbackState)
    except StoreError as error:
        raise RunError(f"{field}: round {round} of run {run_id} cannot be read: {error}") from error
    return Snapshot(run_id, round, experiment, policy, feedback)


def _rounds(home: Home, run_id: str) -> dict[int, dict[str, Any]]:
    """The memo of the last optimisation of each round, by round from 1."""
    rounds: dict[int, dict[str, Any]] = {}
    for key in home.store.memos():
        owner, _, stage = key.partition("/")
        match = STAGE.fullmatch(stage) if owner == run_id else None
        memo = None if match is None else home.store.recall(key)
        if match is not None and memo is not None:
            earlier = rounds.get(int(match[1]) + 1, memo)
            rounds[int(match[1]) + 1] = max(earlier, memo, key=lambda one: one["finished_ms"])
    return rounds
