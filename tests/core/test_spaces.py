"""Which spaces are learned on, how their values become numbers, and how they travel."""

import json
from typing import Any

import numpy as np
import pytest
from gymnasium import spaces

from rlhf_core.environments.spaces import (
    build,
    check_action_space,
    check_observation_space,
    describe,
    encode,
)
from rlhf_core.errors import UnsupportedSpaceError
from tests.core.environments import ACTIONS, OBSERVATIONS

SUPPORTED_ACTIONS = ["box", "box_2d", "discrete", "multi_discrete", "multi_binary"]
FLAT = [kind for kind in OBSERVATIONS if kind not in ("dict", "tuple", "text", "nested_text")]


@pytest.mark.parametrize("kind", [k for k in OBSERVATIONS if not k.endswith("text")])
def test_observations_that_can_be_learned_on(kind: str) -> None:
    check_observation_space(OBSERVATIONS[kind], "Shapes-v0")


@pytest.mark.parametrize(
    ("space", "name"),
    [
        (OBSERVATIONS["text"], "Text"),
        (OBSERVATIONS["nested_text"], "Text"),
        (spaces.Sequence(spaces.Discrete(2)), "Sequence"),
        (spaces.Tuple([spaces.Dict({"g": spaces.Graph(spaces.Discrete(2), None)})]), "Graph"),
    ],
)
def test_observations_that_cannot_be_learned_on(space: spaces.Space[Any], name: str) -> None:
    with pytest.raises(
        UnsupportedSpaceError,
        match=f"environment.id: Shapes-v0 has observations of {name}; supported: Box, Discrete, "
        "MultiDiscrete, MultiBinary, and Dict or Tuple of these. Wrap",
    ):
        check_observation_space(space, "Shapes-v0")


@pytest.mark.parametrize("kind", SUPPORTED_ACTIONS)
def test_actions_that_can_be_taken(kind: str) -> None:
    check_action_space(ACTIONS[kind], "Shapes-v0")


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("unbounded", "a Box without finite bounds"),
        ("integers", "a Box of int64"),
        ("discrete_from_1", "Discrete starting at 1"),
        ("multi_discrete_2d", "MultiDiscrete of 2 dimensions"),
        ("multi_discrete_from_1", "MultiDiscrete starting at"),
        ("multi_binary_2d", "MultiBinary of 2 dimensions"),
        ("dict", "Dict"),
    ],
)
def test_actions_that_cannot_be_taken(kind: str, reason: str) -> None:
    with pytest.raises(
        UnsupportedSpaceError,
        match=f"Shapes-v0 has actions of {reason}.*; supported: Box with finite bounds",
    ):
        check_action_space(ACTIONS[kind], "Shapes-v0")


def test_every_space_of_the_tests_is_either_supported_or_refused() -> None:
    refused = {
        "unbounded", "integers", "discrete_from_1", "multi_discrete_2d", "multi_discrete_from_1",
        "multi_binary_2d", "dict",
    }  # fmt: skip
    assert set(ACTIONS) == refused | set(SUPPORTED_ACTIONS)


@pytest.mark.parametrize(
    ("space", "values", "expected"),
    [
        (spaces.Discrete(3), [2, 0], [[0, 0, 1], [1, 0, 0]]),
        (spaces.Discrete(3, start=-1), [-1, 1], [[1, 0, 0], [0, 0, 1]]),
        (spaces.MultiDiscrete([2, 3]), [[1, 0], [0, 2]], [[0, 1, 1, 0, 0], [1, 0, 0, 0, 1]]),
        (spaces.MultiDiscrete([2, 3], start=[1, 5]), [[2, 5]], [[0, 1, 1, 0, 0]]),
        (spaces.MultiDiscrete([[2], [2]]), [[[1], [0]]], [[0, 1, 1, 0]]),
        (spaces.MultiBinary(3), [[1, 0, 1]], [[1, 0, 1]]),
        (spaces.Box(-5, 5, (2,)), [[-5, 2.5]], [[-5, 2.5]]),
        (spaces.Box(-5, 5, ()), [1.5, 2.5], [[1.5], [2.5]]),
        (spaces.Box(-5, 5, (2, 2)), [[[1, 2], [3, 4]]], [[1, 2, 3, 4]]),
        (spaces.Box(0, 255, (2,), np.uint8), [[0, 51], [255, 102]], [[0, 0.2], [1, 0.4]]),
    ],
    ids=str,
)
def test_encode_gives_features(
    space: spaces.Space[Any], values: Any, expected: list[list[float]]
) -> None:
    features = encode(space, np.asarray(values, dtype=space.dtype))
    assert features.dtype == np.float32
    np.testing.assert_allclose(features, expected, rtol=1e-6)


@pytest.mark.parametrize("kind", FLAT)
def test_encode_takes_any_batch_of_the_space(kind: str) -> None:
    space = OBSERVATIONS[kind]
    space.seed(0)
    features = encode(space, np.stack([space.sample() for _ in range(5)]))
    assert features.shape == (5, spaces.flatdim(space))
    assert np.isfinite(features).all()


INFINITE = spaces.Box(np.array([-np.inf, 0]), np.array([np.inf, 1]), dtype=np.float64)


@pytest.mark.parametrize(
    "space",
    [OBSERVATIONS[kind] for kind in FLAT]
    + [ACTIONS[kind] for kind in SUPPORTED_ACTIONS]
    + [INFINITE, spaces.Box(-1, 1, ()), spaces.Discrete(3, start=-2)],
    ids=str,
)
def test_a_space_that_travels_as_json_arrives_as_it_was(space: spaces.Space[Any]) -> None:
    assert build(json.loads(json.dumps(describe(space)))) == space


def test_a_space_without_a_description_is_refused() -> None:
    with pytest.raises(UnsupportedSpaceError, match="expected one of Box, Discrete"):
        describe(OBSERVATIONS["dict"])
    with pytest.raises(UnsupportedSpaceError, match="actual: Text"):
        build({"type": "Text"})
