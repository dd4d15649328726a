"""The data types refuse what does not fit together, and cannot be changed."""

from dataclasses import FrozenInstanceError
from typing import Any

import jaxtyping
import numpy as np
import pytest

from rlhf_core.errors import ShapeError
from rlhf_core.evaluation.outcome import Evaluation
from rlhf_core.questions import Queries
from rlhf_core.rewards.model import EnsembleState
from rlhf_core.types import Rollouts, Segments, Trajectory, Value
from tests.core.examples import played, segments, trajectory


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
        np.zeros(1),
        np.ones(1),
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


@pytest.mark.usefixtures("unchecked")
def test_each_evaluation_episode_has_a_length() -> None:
    with pytest.raises(ShapeError, match="Evaluation: expected lengths"):
        Evaluation(np.zeros(3), np.zeros(2, dtype=np.int64))


def test_shape_annotations_are_executed_in_the_tests() -> None:
    with pytest.raises(jaxtyping.TypeCheckError, match="items"):
        Queries(np.zeros(3, dtype=np.int64))


def test_every_data_type_is_known_to_the_store_by_its_name() -> None:
    rollouts, _ = played(2)
    for value in (rollouts, rollouts.trajectories[0], segments([[1]])):
        assert Value.registry[type(value).__name__] is type(value)
