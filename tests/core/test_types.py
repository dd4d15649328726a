"""The data types refuse what does not fit together, and cannot be changed."""

from dataclasses import FrozenInstanceError
from typing import Any

import jaxtyping
import numpy as np
import pytest

from rlhf_core.errors import ShapeError
from rlhf_core.evidence import Annotations, Choice, Preferences, Queries, Request, concatenate
from rlhf_core.rewards.model import EnsembleState
from rlhf_core.types import Evaluation, Rollouts, Segments, Trajectory, Value
from tests.core.examples import annotations, played, segments, trajectory


def test_arrays_of_a_value_are_read_only() -> None:
    mine = np.zeros((2, 2), dtype=np.int64)
    queries = Queries(mine)
    with pytest.raises(ValueError, match="read-only"):
        queries.items[0, 0] = 1
    mine[0, 1] = 7  # the caller's own array stays his


def test_arrays_inside_a_mapping_are_read_only() -> None:
    state = EnsembleState(
        {"weight_0": np.zeros((1, 2, 1), dtype=np.float32)},
        np.zeros(2, dtype=np.float32),
        np.ones(2, dtype=np.float32),
    )
    with pytest.raises(ValueError, match="read-only"):
        state.parameters["weight_0"][:] = 1


def test_fields_of_a_value_cannot_be_replaced() -> None:
    with pytest.raises(FrozenInstanceError):
        trajectory(2).terminated = True  # type: ignore[misc]


def test_a_trajectory_has_as_many_steps_as_actions() -> None:
    assert len(trajectory(3)) == 3
    assert Rollouts((trajectory(3), trajectory(5))).steps == 8


@pytest.mark.usefixtures("unchecked")
def test_a_trajectory_holds_the_final_observation() -> None:
    with pytest.raises(ShapeError, match=r"Trajectory: expected 3 observations for 2 actions"):
        Trajectory(
            observations=np.zeros((2, 1)),
            actions=np.zeros(2),
            terminated=False,
            truncated=True,
            policy_version=0,
        )


def test_a_trajectory_has_at_least_one_step() -> None:
    with pytest.raises(ShapeError, match=r"Trajectory: expected at least one step, actual: 0"):
        trajectory(0)


def test_rollouts_are_not_empty() -> None:
    with pytest.raises(ShapeError, match="expected at least one trajectory"):
        Rollouts(())


SEGMENTS: dict[str, Any] = {
    "observations": np.zeros((2, 4, 1)),
    "actions": np.zeros((2, 3)),
    "terminated": np.zeros((2, 3), dtype=bool),
    "mask": np.ones((2, 3), dtype=bool),
    "origin": np.zeros((2, 2), dtype=np.int64),
}


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("field", "wrong", "message"),
    [
        ("observations", np.zeros((2, 3, 1)), r"observations of shape \(2, 4, \.\.\.\), actual"),
        ("actions", np.zeros((2, 4)), r"actions of shape \(2, 3, \.\.\.\), actual: \(2, 4\)"),
        ("terminated", np.zeros((1, 3), dtype=bool), r"terminated of shape \(2, 3\)"),
        ("mask", np.ones(2, dtype=bool), r"mask"),
        ("origin", np.zeros((2, 3), dtype=np.int64), r"origin"),
    ],
)
def test_segments_fit_together(field: str, wrong: np.ndarray, message: str) -> None:
    assert Segments(**SEGMENTS).steps == 3
    with pytest.raises(ShapeError, match=f"Segments: expected .*{message}"):
        Segments(**{**SEGMENTS, field: wrong})


def test_take_picks_segments_in_the_order_asked() -> None:
    clips = segments([[1, 2], [3, 4], [5, 6]], mask=[[1, 1], [1, 0], [1, 1]])
    taken = clips.take(np.array([2, 1, 1]))
    np.testing.assert_array_equal(taken.observations[..., 0], [[5, 6, 6], [3, 4, 4], [3, 4, 4]])
    np.testing.assert_array_equal(taken.mask, [[1, 1], [1, 0], [1, 0]])
    assert len(taken) == 3


@pytest.mark.parametrize("pair", [[[0, 2]], [[-1, 0]]])
def test_queries_point_into_their_segments(pair: list[list[int]]) -> None:
    clips = segments([[1], [2]])
    with pytest.raises(ShapeError, match="pairs that point into the 2 segments"):
        Request(clips, Queries(np.array(pair)), clips)


def test_a_request_may_ask_nothing() -> None:
    clips = segments([[1]])
    assert len(Request(clips, Queries(np.empty((0, 2), dtype=np.int64)), clips).queries) == 0


@pytest.mark.usefixtures("unchecked")
def test_queries_are_pairs() -> None:
    with pytest.raises(ShapeError, match=r"Queries: expected .*\(2, 2\), actual: \(2, 3\)"):
        Queries(np.zeros((2, 3), dtype=np.int64))


def test_an_unknown_choice_is_refused() -> None:
    with pytest.raises(ShapeError, match=r"choices among \[0, 1, 2, 3\], actual: \[7\]"):
        Annotations(*(np.array([0]),) * 2, np.array([7]), *(np.zeros(1),) * 2)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("short", ["worker", "choice", "seconds", "cost"])
def test_each_judgement_has_a_worker_a_choice_a_time_and_a_cost(short: str) -> None:
    columns = dict.fromkeys(("query", "worker", "choice"), np.zeros(3, dtype=np.int64))
    floats = dict.fromkeys(("seconds", "cost"), np.zeros(3))
    whole = {**columns, **floats}
    assert len(Annotations(**whole)) == 3
    with pytest.raises(ShapeError, match=rf"Annotations: expected {short}"):
        Annotations(**{**whole, short: whole[short][:2]})


@pytest.mark.parametrize(
    ("target", "weight", "message"),
    [
        ([0.0, 1.5], [1.0, 1.0], r"targets in \[0, 1\]"),
        ([-0.1, 0.5], [1.0, 1.0], r"targets in \[0, 1\]"),
        ([np.nan, 0.5], [1.0, 1.0], r"targets in \[0, 1\]"),
        ([0.0, 1.0], [1.0, -1.0], "weights >= 0"),
    ],
)
def test_targets_are_probabilities_and_weights_not_negative(
    target: list[float], weight: list[float], message: str
) -> None:
    with pytest.raises(ShapeError, match=message):
        Preferences(np.zeros((2, 2), dtype=np.int64), np.array(target), np.array(weight))


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(("target", "weight"), [(1, 2), (2, 1)])
def test_each_pair_has_one_target_and_one_weight(target: int, weight: int) -> None:
    with pytest.raises(ShapeError, match=r"Preferences: expected (target|weight)"):
        Preferences(np.zeros((2, 2), dtype=np.int64), np.zeros(target), np.zeros(weight))


@pytest.mark.usefixtures("unchecked")
def test_each_evaluation_episode_has_a_length() -> None:
    with pytest.raises(ShapeError, match="Evaluation: expected lengths"):
        Evaluation(np.zeros(3), np.zeros(2, dtype=np.int64))


def test_concatenate_joins_each_field() -> None:
    first = annotations([0, 1], [Choice.LEFT, Choice.SKIP])
    joined = concatenate(first, annotations([2], [Choice.EQUAL]))
    np.testing.assert_array_equal(joined.query, [0, 1, 2])
    np.testing.assert_array_equal(joined.choice, [0, 3, 2])


def test_shape_annotations_are_executed_in_the_tests() -> None:
    with pytest.raises(jaxtyping.TypeCheckError, match="pair"):
        Queries(np.zeros((2, 3), dtype=np.int64))


def test_every_data_type_is_known_to_the_store_by_its_name() -> None:
    rollouts, _ = played(2)
    for value in (rollouts, rollouts.trajectories[0], segments([[1]])):
        assert Value.registry[type(value).__name__] is type(value)
